"""What a decoder is built of: norms, linears, attention, feed-forward, embeddings."""
