"""Parsers of calls and thoughts, for the formats in which known models write them."""
