"""FP8 weights for Jackfield: checkpoints, and any plain model while it loads."""
