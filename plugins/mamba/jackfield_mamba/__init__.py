"""Mamba-2, Bamba, Granite 4 and Falcon-H1 as data: states instead of attention, or together with it."""
