"""A spec finds the names of its checkpoint and groups its layers by what they keep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jackfield.cache import FULL, WINDOW
from jackfield.dtypes import FLOAT16, FLOAT32
from jackfield.model_spec import (
    Attention,
    FeedForward,
    Layer,
    ModelSpec,
    ModuleSource,
    Norm,
    Transpose,
)

NORM = Norm(epsilon=1e-5)
LAYER = Layer(
    mixer=Attention(num_heads=2, num_kv_heads=1, head_size=8, scale=1.0),
    feed_forward=FeedForward(size=16),
    mixer_norm=NORM,
    feed_forward_norm=NORM,
)
WINDOWED = replace(LAYER, mixer=replace(LAYER.mixer, window=4))


def make_spec(*layers: Layer) -> ModelSpec:
    return ModelSpec(
        architecture="Tiny",
        vocab_size=32,
        hidden_size=16,
        max_length=64,
        layers=layers,
        final_norm=NORM,
        modules={
            "embedding": ModuleSource("embed"),
            "layers.{i}.mixer.q": ModuleSource("h.{i}.q", (Transpose(),)),
        },
        dtype=FLOAT32,
        end_token_ids=(2,),
    )


def test_a_name_of_a_layer_is_found_with_its_transforms():
    assert make_spec(LAYER).source("layers.11.mixer.q") == ModuleSource("h.11.q", (Transpose(),))


def test_a_name_outside_the_layers_is_found():
    assert make_spec(LAYER).source("embedding") == ModuleSource("embed")


def test_a_name_that_is_not_mapped_is_a_key_error():
    with pytest.raises(KeyError):
        make_spec(LAYER).source("layers.0.mixer.k")


def test_layers_that_keep_the_same_tokens_share_a_group_full_ones_first():
    groups = make_spec(WINDOWED, LAYER, WINDOWED).cache_groups(FLOAT16)

    assert [(group.kind, group.layers, group.window) for group in groups] == [
        (FULL, (1,), None),
        (WINDOW, (0, 2), 4),
    ]


def test_a_layer_that_reads_another_cache_has_none_of_its_own():
    groups = make_spec(LAYER, replace(LAYER, cache_of_layer=0)).cache_groups(FLOAT16)

    assert [group.layers for group in groups] == [(0,)]


def test_bytes_of_a_block_are_keys_and_values_of_all_layers():
    (group,) = make_spec(LAYER, LAYER).cache_groups(FLOAT16)

    assert group.block_bytes(block_size=16) == 2 * 2 * 16 * 1 * 8 * 2
