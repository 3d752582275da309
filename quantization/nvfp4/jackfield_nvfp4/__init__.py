"""NVFP4 checkpoints of ModelOpt for Jackfield."""
