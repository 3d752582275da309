"""Speculators that ship with the core."""
