"""The CUDA platform: reports the facts of NVIDIA's driver on the card, and starts torch workers on it."""
