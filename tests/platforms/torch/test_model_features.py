"""The torch runtime says of every field of a model spec, and of every sampling parameter, whether it computes it."""

from dataclasses import MISSING, fields
from typing import get_args, get_type_hints

from jackfield import model_spec
from jackfield.pooling import Pooling, PoolingParams
from jackfield.sampling import SamplingParams
from jackfield_torch.layers.activation import _FUNCTIONS
from jackfield_torch.model_features import MODEL_FEATURES, POOLING_FEATURES, SAMPLING_FEATURES
from jackfield_torch.rope import _SCALINGS

CLASSES = [
    value
    for value in vars(model_spec).values()
    if hasattr(value, "FEATURE") and value is not Pooling  # which requests are checked for
]
# What a field may say instead of its default word.
WORDS = {
    "norm.kind": {"layer"},
    "rope_scaling.kind": set(_SCALINGS) - {"linear"},
    "feed_forward.activation": set(_FUNCTIONS) - {"silu"},
    "router.scoring": {"sigmoid", "sparse_mixer"},
    "router.group_score": {"top2"},
    "classifier.activation": {*_FUNCTIONS, "tanh"},
    "classifier.scoring": {"sigmoid", "none"},
    "foreign.runtime": {"jackfield_torch"},
}


def possible_features() -> set[str]:
    found = set()
    for cls in CLASSES:
        hints = get_type_hints(cls)
        for item in fields(cls):
            if item.name in getattr(cls, "PLAIN_FIELDS", ()):
                continue
            members = get_args(hints[item.name]) or (hints[item.name],)
            words = [m.FEATURE for m in members if getattr(m, "IS_FEATURE", False)]
            found |= {f"{cls.FEATURE}.{item.name}={word}" for word in words}
            if item.default is not MISSING or item.default_factory is not MISSING:
                name = f"{cls.FEATURE}.{item.name}"
                found |= {f"{name}={word}" for word in WORDS[name]} if name in WORDS else {name}
    return found


def test_every_field_of_a_spec_is_declared():
    assert possible_features() - MODEL_FEATURES == set()


def test_nothing_is_declared_that_no_spec_can_say():
    assert MODEL_FEATURES - possible_features() == set()


def test_every_sampling_parameter_is_declared_or_none_of_its_business():
    names = {item.name for item in fields(SamplingParams)} - SamplingParams.PLAIN_FIELDS

    assert {f"sampling.{name}" for name in names} == SAMPLING_FEATURES


def test_every_pooling_parameter_is_declared():
    names = {feature.partition("=")[0] for feature in POOLING_FEATURES}

    assert {f"pooling.{item.name}" for item in fields(PoolingParams)} <= names
