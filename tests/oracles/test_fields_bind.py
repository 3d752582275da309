"""Every field of a spec that a family uses shows in the logits, or the checkpoint does not fit: nothing is ignored."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from jackfield.errors import CheckpointError, UnsupportedModelError
from jackfield.model_spec import ModelSpec

TOLERANCE = 1e-4  # relative to the largest logit, as in test_families
MOVED = 100 * TOLERANCE
# Facts that the decoder does not compute with.
NOT_COMPUTED = {
    "architecture",
    "dtype",
    "end_token_ids",
    "max_length",
    "modules",
    "layers",
    "has_head",
}
OF_ENCODERS = {
    "causal",
    "norm_after_sum",
}  # compared in test_vectors; here layers differ, or are in one cache
OF_HEAD_NORMS = {"joint_norms", "head_weights", "norm_after_rope"}  # idle without such norms
OTHER_WORD = {
    "rms": "layer",
    "layer": "rms",
    "silu": "relu",
    "gelu": "relu",
    "gelu_tanh": "relu",
    "relu": "silu",
    "relu_squared": "silu",
    "softmax": "sigmoid",
    "sigmoid": "softmax",
    "max": "top2",
    "top2": "max",
    "linear": "dynamic",
    "dynamic": "linear",
    "llama3": "linear",
    "yarn": "linear",
}


def alterations(spec: ModelSpec) -> Iterator[tuple[str, ModelSpec]]:
    """Specs that differ in one field; of layers with the same facts, all are altered together."""
    idle = set() if spec.learned_positions else {"position_offset"}
    yield from _altered(spec, "model", skipped=NOT_COMPUTED | idle)
    for layer in dict.fromkeys(spec.layers):
        for path, other in _altered(layer, f"layer {spec.layers.index(layer)}"):
            layers = tuple(other if each == layer else each for each in spec.layers)
            yield path, replace(spec, layers=layers)


def _altered(value: Any, path: str, skipped: frozenset[str] | set[str] = frozenset()):
    for item in fields(value):
        current = getattr(value, item.name)
        if item.name == "jitter":  # of routers that choose one expert after another
            continue
        if item.name in OF_ENCODERS:
            continue
        if item.name == "norm_after_rope" and value.rope is None:
            continue
        if item.name == "up_offset" and not value.gated:
            continue
        if item.name in skipped or (item.name in OF_HEAD_NORMS and value.q_norm is None):
            continue
        where = f"{path}.{item.name}"
        if is_dataclass(current):
            for inner_path, inner in _altered(current, where):
                yield inner_path, replace(value, **{item.name: inner})
            if type(None) in _kinds(item.type):
                yield f"{where} left out", replace(value, **{item.name: None})
        elif (other := _other(item.name, current)) is not None:
            yield where, replace(value, **{item.name: other})


def _kinds(annotation: Any) -> set[type]:
    return {type(None)} if "None" in str(annotation) else set()


def _other(name: str, current: Any) -> Any:
    """Another allowed value, or None where the field is not in use."""
    match current:
        case None | ():
            return None
        case bool():
            return not current
        case str():
            return OTHER_WORD[current]
        case int() if name == "rotary_size":
            return current - 2  # more would be refused
        case int():
            return 2 * current + 2
        case float() if name == "epsilon":
            return 100 * current  # the stream grows from layer to layer, an epsilon does not
        case float():
            return current * 2 + 0.1
    raise AssertionError(f"{name} has a value of an unknown kind: {current!r}")


def moves(oracle, spec: ModelSpec) -> bool:
    try:
        return oracle.distance(oracle.run(spec)) >= MOVED
    except (CheckpointError, UnsupportedModelError):
        return True  # the weights do not fit it, or it makes no sense: refused


def test_every_field_in_use_moves_the_logits_by_a_hundred_tolerances(oracle):
    unbound = [path for path, spec in alterations(oracle.spec) if not moves(oracle, spec)]

    assert unbound == []


def test_the_length_of_the_engine_moves_the_logits_of_dynamic_scaling(make_oracle):
    oracle = make_oracle("llama_dynamic")

    assert oracle.distance(oracle.run(max_length=2 * oracle.case.max_length)) >= MOVED
