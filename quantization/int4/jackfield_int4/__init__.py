"""Rounds any plain model to four bits while it loads."""
