"""Weights in eight bits with one scale for each output: a tool that writes them, a scheme that reads and multiplies them."""
