"""bitsandbytes checkpoints for Jackfield: NF4, FP4 and int8."""
