"""The interfaces that plugins implement. Reading this folder is enough to write a plugin."""
