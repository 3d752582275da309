"""Builders of one family with one planted fault each."""

from dataclasses import replace

from jackfield_gemma.model import gemma2 as sound
from jackfield_gpt2.model import gpt2

Q, K = "layers.{i}.mixer.q", "layers.{i}.mixer.k"


def _mixers(spec, **changes):
    layers = [
        replace(
            layer, mixer=replace(layer.mixer, **{k: v(layer.mixer) for k, v in changes.items()})
        )
        for layer in spec.layers
    ]
    return replace(spec, layers=tuple(layers))


def _modules(spec, **changes):
    return replace(spec, modules={**spec.modules, **changes})


def wrong_epsilon(config):
    return replace(sound(config), final_norm=replace(sound(config).final_norm, epsilon=0.29))


def window_of_one_more(config):
    return _mixers(sound(config), window=lambda mixer: mixer.window and mixer.window + 1)


def other_gelu(config):
    spec = sound(config)
    layers = [
        replace(layer, feed_forward=replace(layer.feed_forward, activation="gelu"))
        for layer in spec.layers
    ]
    return replace(spec, layers=tuple(layers))


def gate_and_up_swapped(config):
    spec = sound(config)
    gate, up = "layers.{i}.feed_forward.gate", "layers.{i}.feed_forward.up"
    return _modules(spec, **{gate: spec.modules[up], up: spec.modules[gate]})


def key_read_as_value(config):
    spec = sound(config)
    return _modules(spec, **{K: spec.modules["layers.{i}.mixer.v"]})


def too_short(config):
    return replace(sound(config), max_length=16)


def raw_error(config):
    config.values["intermediate_size"] + 0
    return sound(config)


_num_built = iter(range(1000))


def remembers(config):
    return replace(sound(config), position_offset=next(_num_built))


def imports_torch(config):
    import torch

    return replace(sound(config), vocab_size=int(torch.tensor(config.values["vocab_size"])))


def q_and_k_swapped(config):
    spec = gpt2(config)
    return _modules(spec, **{Q: spec.modules[K], K: spec.modules[Q]})
