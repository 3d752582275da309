"""Finds the installed plugins, and selects which of them are used, with reasons."""
