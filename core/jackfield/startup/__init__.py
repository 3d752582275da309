"""From settings to running parts: decisions, their explanation, and what an engine is assembled of."""
