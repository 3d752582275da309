"""MXFP4 checkpoints, those of gpt-oss, for Jackfield."""
