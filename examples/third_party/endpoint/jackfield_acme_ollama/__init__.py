"""Ollama's API on a server of Jackfield."""
