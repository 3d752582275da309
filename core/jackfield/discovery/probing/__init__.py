"""Trying plugins in a process of their own, so that what they do there cannot hurt the one that asks."""
