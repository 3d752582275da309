"""The engine and its loop: requests in, steps in flight, outputs out."""
