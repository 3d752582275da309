"""The clients: `LLM` waits for its answers, `AsyncLLM` streams them to many callers at once."""

from jackfield.client.async_llm import AsyncLLM
from jackfield.client.llm import LLM

__all__ = ["LLM", "AsyncLLM"]
