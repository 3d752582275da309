"""The CPU platform: reports the abilities of this machine's processor, and starts torch workers on it."""
