"""Weights in eight bits for Jackfield, one scale for each output: how they are written, read and multiplied."""
