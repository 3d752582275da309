"""The engine and its loop: requests go in, steps are in flight, outputs come out."""
