"""Conformance kits of the torch runtime: models, attention backends, quantization schemes."""
