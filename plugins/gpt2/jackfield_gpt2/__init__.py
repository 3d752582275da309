"""The GPT-2 families as model specs: functions from a `config.json` to layers and checkpoint names."""
