"""How codes are stored: the tensors and the `quantization_config` that other engines read."""
