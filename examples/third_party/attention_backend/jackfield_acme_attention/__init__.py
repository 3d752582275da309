"""Attention over Jackfield's paged cache by an online softmax: a few blocks at a time, whatever a row's length."""
