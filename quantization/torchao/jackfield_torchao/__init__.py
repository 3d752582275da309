"""Checkpoints of torchao for Jackfield."""
