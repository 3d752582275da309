"""SqueezeLLM checkpoints for Jackfield: look-up tables per output, dense and sparse."""
