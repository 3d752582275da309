"""What plugin authors test with: a whole device in pure Python, its oracle, a tiny model, a byte tokenizer.

`platform` holds the card of the reference device, `oracle` says what the engine must answer on it, `models` and
`tokenizer` make the tiny model it runs, `engine` opens an engine on all of that. None of them imports pytest.
"""
