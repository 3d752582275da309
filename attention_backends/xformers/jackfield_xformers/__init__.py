"""Attention over the paged cache with xFormers' operators: split keys in Triton for single queries, flash for prompts."""
