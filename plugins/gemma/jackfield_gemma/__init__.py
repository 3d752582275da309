"""The Gemma 1, 2 and 3 families as model specs: functions from a `config.json` to layers and checkpoint names."""
