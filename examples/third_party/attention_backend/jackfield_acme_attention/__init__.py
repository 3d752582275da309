"""Attention over Jackfield's paged cache with an online softmax, a few blocks at a time for any length of a row."""
