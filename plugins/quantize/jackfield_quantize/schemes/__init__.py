"""The algorithms that turn weights into codes, a module for each paper."""
