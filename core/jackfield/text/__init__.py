"""From token ids to the text that a user sees, piece by piece. Uses tokenizers; knows nothing of engines."""
