"""The CUDA platform: states what NVIDIA's driver says of the card, and starts torch workers on it."""
