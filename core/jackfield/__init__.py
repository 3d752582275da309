"""Jackfield: an LLM inference engine and SDK in which every part is a plug."""

__version__ = "0.1.0"
