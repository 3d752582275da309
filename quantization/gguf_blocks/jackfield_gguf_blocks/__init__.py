"""Blocks of GGUF files that stay packed while a model runs, for Jackfield."""
