"""Checkpoints of llm-compressor (compressed-tensors) for Jackfield."""
