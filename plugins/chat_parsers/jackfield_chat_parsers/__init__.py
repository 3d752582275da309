"""Parsers of calls and thoughts, for the formats of known models."""
