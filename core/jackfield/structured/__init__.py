"""Structured output that ships with the core."""
