"""Structured output through the library XGrammar: JSON schemas, regular expressions, choices and grammars."""
