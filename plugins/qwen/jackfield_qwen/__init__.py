"""The Qwen2 and Qwen3 families as model specs: functions from a `config.json` to layers and checkpoint names."""
