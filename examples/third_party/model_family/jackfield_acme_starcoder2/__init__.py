"""The Starcoder2 family as a model spec: a function from a `config.json` to layers and checkpoint names."""
