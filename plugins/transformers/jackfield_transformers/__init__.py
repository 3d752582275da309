"""Runs any decoder with Transformers' own code, over Jackfield's paged attention."""
