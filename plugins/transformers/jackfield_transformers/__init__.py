"""Any decoder that Transformers' own code runs, over Jackfield's paged attention."""
