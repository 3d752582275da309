"""The pieces of the sampler: random numbers, filters, penalties, masks. Each is a function or an object on tensors."""
