"""Attention of decoding rows that reads the paged cache in place."""
