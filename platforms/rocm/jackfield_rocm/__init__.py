"""The ROCm platform: states what AMD's driver says of the card, and starts torch workers on it."""
