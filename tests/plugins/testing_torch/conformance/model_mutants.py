"""Builders of one family with one planted fault each."""

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import ModuleSource, Split
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


def wrong_theta(config):
    return _mixers(sound(config), rope=lambda mixer: replace(mixer.rope, theta=9000.0))


def wrong_epsilon(config):
    return replace(sound(config), final_norm=replace(sound(config).final_norm, epsilon=0.29))


def no_embedding_scale(config):
    return replace(sound(config), embedding_scale=1.0)


def window_of_one_more(config):
    return _mixers(sound(config), window=lambda mixer: mixer.window and mixer.window + 1)


def windows_in_the_other_layers(config):
    spec = sound(config)
    return replace(spec, layers=spec.layers[::-1])


def no_soft_cap(config):
    return _mixers(sound(config), soft_cap=lambda mixer: None)


def plain_scale(config):
    return _mixers(sound(config), scale=lambda mixer: mixer.head_size**-0.5)


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


def post_norm_ignored(config):
    spec = sound(config)
    return replace(spec, layers=tuple(replace(x, mixer_post_norm=None) for x in spec.layers))


def first_layer_only(config):
    spec = sound(config)
    return replace(spec, layers=spec.layers[:1])


def too_short(config):
    return replace(sound(config), max_length=16)


def raw_error(config):
    config.values["intermediate_size"] + 0
    return sound(config)


def changes_its_config(config):
    config.values["architectures"] = ["Another"]
    return sound(config)


_num_built = iter(range(1000))


def remembers(config):
    return replace(sound(config), position_offset=next(_num_built))


def with_a_list(config):
    spec = sound(config)
    return replace(spec, layers=list(spec.layers))


def imports_torch(config):
    import torch

    return replace(sound(config), vocab_size=int(torch.tensor(config.values["vocab_size"])))


def q_and_k_swapped(config):
    spec = gpt2(config)
    return _modules(spec, **{Q: spec.modules[K], K: spec.modules[Q]})


def part_of_a_fused_tensor(config: ConfigReader):
    spec = gpt2(config)
    source = spec.modules[Q]
    transpose, rows = source.transforms
    early = (transpose, Split(rows.start + 1, rows.stop + 1))
    return _modules(spec, **{Q: ModuleSource(source.prefix, early)})
