"""The portable attention backend: torch operators over the paged cache."""
