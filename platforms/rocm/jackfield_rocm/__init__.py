"""The ROCm platform: reports the facts of AMD's driver on the card, and starts torch workers on it."""
