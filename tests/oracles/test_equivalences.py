"""Features that no first-party family uses, shown against a model without them whose weights say the same."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch
from torch import Tensor

from jackfield.features import features_in_use
from jackfield.model_spec import ModelSpec, Norm, Rope
from jackfield_testing_torch.dense_attention import DenseAttention
from jackfield_torch.model_features import MODEL_FEATURES

TOLERANCE = 1e-5  # relative to the largest logit
Edits = dict[str, Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Equivalence:
    """A spec with the feature and its weights, a spec without it and its weights, and what is done to its logits."""

    feature: str
    base: str
    with_feature: Callable[[ModelSpec], ModelSpec]
    edits: Edits
    plain_edits: Edits
    then: Callable[[Tensor], Tensor] = lambda logits: logits


def _each_layer(**changes: Any) -> Callable[[ModelSpec], ModelSpec]:
    def change(spec: ModelSpec) -> ModelSpec:
        return replace(spec, layers=tuple(replace(layer, **changes) for layer in spec.layers))

    return change


def _model(**changes: Any) -> Callable[[ModelSpec], ModelSpec]:
    return lambda spec: replace(spec, **changes)


def _interleaved(spec: ModelSpec) -> ModelSpec:
    mixer = spec.layers[0].mixer
    assert mixer.rope is not None
    rope = Rope(theta=mixer.rope.theta, rotary_size=mixer.rope.rotary_size, interleaved=True)
    return _each_layer(mixer=replace(mixer, rope=rope))(spec)


def _pairs_from_halves(weight_OI: Tensor) -> Tensor:
    """Rows 0..7, 8..15 of each head of 16 to 0, 8, 1, 9, ..."""
    return weight_OI.view(-1, 2, 8, weight_OI.shape[1]).transpose(1, 2).reshape(weight_OI.shape)


def _on_layers(names: tuple[str, ...], edit: Callable[[Tensor], Tensor]) -> Edits:
    return {f"layers.{layer}.{name}.weight": edit for layer in range(2) for name in names}


def _rms(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 0.1)


GAIN_E = torch.linspace(0.5, 1.5, 64)
BIAS_V = torch.linspace(-3, 3, 96)
EQUIVALENCES = [
    Equivalence(
        "rope.interleaved",
        "llama",
        _interleaved,
        _on_layers(("mixer.q", "mixer.k"), _pairs_from_halves),
        {},
    ),
    Equivalence(
        "layer.residual_scale",
        "llama",
        _each_layer(residual_scale=0.25),
        {},
        _on_layers(("mixer.o", "feed_forward.down"), lambda weight: weight * 0.25),
    ),
    Equivalence(
        "model.position_offset",
        "gpt2",
        _model(position_offset=2, learned_positions=66),
        {"positions.weight": lambda table: torch.cat((table[:2] * 9, table))},
        {},
    ),
    Equivalence(
        "model.embedding_norm",
        "llama",
        _model(embedding_norm=Norm(epsilon=0.1)),
        {"embedding_norm.weight": lambda _: GAIN_E.clone()},
        {"embedding.weight": lambda table: _rms(table) * GAIN_E},
    ),
    Equivalence(
        "model.logit_scale", "llama", _model(logit_scale=0.5), {}, {}, lambda logits: logits * 0.5
    ),
    Equivalence(
        "model.head_bias",
        "llama",
        _model(head_bias=True),
        {"head.bias": lambda _: BIAS_V.clone()},
        {},
        lambda logits: logits + BIAS_V,
    ),
]


@pytest.mark.parametrize("case", EQUIVALENCES, ids=lambda case: case.feature)
def test_a_feature_equals_the_model_that_says_it_otherwise(case, make_oracle):
    oracle = make_oracle(case.base)
    expected = case.then(oracle.run(edits=case.plain_edits))
    spec = case.with_feature(oracle.spec)

    found = oracle.run(spec, edits=case.edits)

    assert case.feature in features_in_use(spec)
    assert (found - expected).abs().max() < TOLERANCE * expected.abs().max()


def test_a_layer_that_shares_a_cache_sees_the_keys_and_values_of_the_earlier_one(make_oracle):
    oracle = make_oracle("llama")
    first, second = oracle.spec.layers
    spec = replace(oracle.spec, layers=(first, replace(second, cache_of_layer=0)))

    found = oracle.run(spec)

    expected = oracle.run(attention=_KeysOfLayer0(oracle.spec))
    assert (found - expected).abs().max() < TOLERANCE * expected.abs().max()
    assert oracle.distance(found) > 1e-2


class _KeysOfLayer0(DenseAttention):
    """Gives every layer the keys and values that layer 0 computed."""

    def attend(self, layer, q_TNH, k_TKH, v_TKH):
        if layer == 0:
            self._first = k_TKH, v_TKH
        return super().attend(layer, q_TNH, *self._first)


# Whatever these families have, the kit of models compares with Transformers: tests/plugins/NAME/test_conformance.py
OF_FAMILIES = {
    "attention.alibi",  # gpt
    "attention.causal",  # encoders
    "attention.chunk_size",  # llama (Llama 4)
    "attention.head_weights",  # cohere
    "attention.joint_norms",  # olmo
    "attention.norm_after_rope",  # llama (HunYuan)
    "attention.out_gate",  # qwen (Qwen3-Next)
    "attention.qkv_clip",  # olmo, gpt
    "attention.relative_bias",  # encoders
    "attention.temperature",  # llama (Llama 4)
    "classifier.*",  # encoders, llama, qwen
    "experts.*",  # qwen, glm, llama
    "feed_forward.activation=gelu_sigmoid",  # gpt_oss
    "feed_forward.clip",  # gpt_oss
    "feed_forward.*_scale",  # mamba (Falcon-H1)
    "feed_forward.up_offset",  # gpt_oss
    "foreign.*",  # transformers
    "latent_attention.*",  # deepseek
    "layer.feed_forward=experts",
    "layer.mixer=*",  # deepseek, mamba, qwen
    "layer.norm_after_sum",  # encoders
    "layer.parallel",  # gpt, phi, cohere
    "mamba2.*",  # mamba
    "model.classifier",  # encoders, llama, qwen
    "model.foreign",  # transformers
    "model.has_head",  # encoders
    "model.segments",  # encoders
    "norm.weight",  # olmo
    "parallel_mixers.*",  # mamba (Falcon-H1)
    "quantization.cache_dtype",  # tests/oracles/test_float8_cache.py
    "rope_scaling.kind=longrope",  # phi, with its factors
    "rope_scaling.*_factors",
    "rope_scaling.mscale*",  # deepseek
    "router.*",  # qwen, glm, phi, llama
}


def test_every_declared_feature_is_exercised_by_an_oracle_or_an_equivalence(all_oracles):
    used = frozenset().union(*(features_in_use(oracle.spec) for oracle in all_oracles))
    elsewhere = {"layer.cache_of_layer", "model.quantization"}  # tests/platforms/cpu has the second
    elsewhere |= {f for f in MODEL_FEATURES for rule in OF_FAMILIES if fnmatchcase(f, rule)}
    shown = {case.feature for case in EQUIVALENCES} | elsewhere

    assert used | shown == MODEL_FEATURES
