"""The parts of a decoder: norms, linears, attention, feed-forward, embeddings."""
