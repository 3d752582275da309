"""Tools for the tests of plugin authors: a device in pure Python, its oracle, a tiny model, a byte tokenizer.

`platform` holds the card of the reference device, `oracle` computes what the engine must answer on it, `models` and
`tokenizer` make the tiny model that it runs, and `engine` opens an engine on all of them. None of them imports pytest.
"""
