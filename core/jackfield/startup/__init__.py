"""From settings to running parts: decisions, their explanation, and the parts of an engine."""
