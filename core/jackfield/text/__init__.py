"""From token ids to the text that a user sees, piece by piece. Knows tokenizers, and nothing of engines."""
