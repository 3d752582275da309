"""Rounds any plain model to eight bits while it loads."""
