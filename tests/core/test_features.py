"""Every non-default field has a name, and fields at their defaults have none."""

from __future__ import annotations

from dataclasses import replace

from jackfield.features import features_in_use, possible_features
from jackfield.model_spec import Attention, FeedForward, Layer, Norm, Rope, RopeScaling
from jackfield.sampling import SamplingParams

NORM = Norm(epsilon=1e-5)
LAYER = Layer(
    mixer=Attention(num_heads=2, num_kv_heads=1, head_size=8, scale=1.0),
    feed_forward=FeedForward(size=16),
    mixer_norm=NORM,
    feed_forward_norm=NORM,
)


def test_defaults_are_no_features():
    assert features_in_use(LAYER) == frozenset()


def test_a_changed_number_is_named_by_its_field():
    layer = replace(LAYER, mixer=replace(LAYER.mixer, window=4))

    assert features_in_use(layer) == {"attention.window"}


def test_a_changed_word_is_named_with_its_value():
    layer = replace(LAYER, mixer_norm=replace(NORM, kind="layer"))

    assert features_in_use(layer) == {"norm.kind=layer"}


def test_all_depths_and_all_entries_of_a_tuple_are_walked():
    scaling = RopeScaling(kind="linear", factor=2.0)
    rope = Rope(theta=1e4, rotary_size=8, scaling=scaling)
    layers = (LAYER, replace(LAYER, mixer=replace(LAYER.mixer, rope=rope)))

    assert {"attention.rope", "rope.scaling"} <= features_in_use(layers)


def test_what_a_class_calls_plain_is_no_feature():
    sampling = SamplingParams(max_tokens=3, seed=1, top_k=5)

    assert features_in_use(sampling) == {"sampling.top_k"}


def test_what_may_be_in_use_is_known_of_a_value_that_uses_nothing():
    known = possible_features(LAYER)

    assert {"attention.window", "norm.kind", "layer.residual_scale"} <= known
    assert "attention.scale" not in known  # a fact that everyone must read


def test_a_value_without_features_has_none():
    assert features_in_use("text") == features_in_use(None) == frozenset()
