"""Formats of checkpoints: the tensors and the `quantization_config` that other engines read."""
