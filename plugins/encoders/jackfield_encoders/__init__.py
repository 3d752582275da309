"""Encoders as model specs: functions from a `config.json` to layers and checkpoint names."""
