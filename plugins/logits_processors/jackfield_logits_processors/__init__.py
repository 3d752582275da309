"""No repeated n-grams and budgets for thinking: logits processors that requests name."""
