"""Structured output through the library llguidance: JSON schemas, regular expressions and grammars."""
