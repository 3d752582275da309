"""OpenAI's gpt-oss as data."""
