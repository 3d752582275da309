"""A platform in NumPy: decoder, paged cache, attention and sampler on plain arrays."""
