"""GPTQ checkpoints for Jackfield: 2 to 8 bits, act-order, all zero-point conventions."""
