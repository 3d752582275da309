"""The pieces of the sampler: randomness, filters, penalties, masks. Each is a function or an object on tensors."""
