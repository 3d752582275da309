"""Model files: where they come from, and how weights, configuration and tokenizer are read."""
