"""How weights become codes: one module for each paper."""
