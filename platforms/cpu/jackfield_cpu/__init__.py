"""The CPU platform: states what this machine's processor offers and starts torch workers on it."""
