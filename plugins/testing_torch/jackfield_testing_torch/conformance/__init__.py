"""Conformance kits of the kinds that the torch runtime serves. Needs pytest, as the kits of the core do."""
