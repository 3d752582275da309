"""Linears that are stored alike and that no rule of the user tells apart: the subjects of quantization. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jackfield.config import EngineConfig, Scalar
from jackfield.model_spec import ModelSpec, StoredLinear
from jackfield_torch.rule_facts import NamedFacts, layers_in_words, shared_facts

SETTING = "quantization"  # select.quantization
_ALL = "linears"  # the subject if all linears are alike
_PLAIN = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearGroup:
    """Linears that share one selection."""

    subject: str  # "linears", or "linears of layers 1-29 (gptq)"
    modules: tuple[str, ...]
    method: str  # "none": plain weights
    settings: Mapping[str, Any]  # parameters of the method
    match: Mapping[str, Scalar]  # for rules; None: differs within the group
    stored: tuple[StoredLinear, ...] = ()  # their tensors, one of each kind


def linear_groups(spec: ModelSpec, config: EngineConfig) -> tuple[LinearGroup, ...]:
    """All linears of a model, in as few groups as the checkpoint and the rules in the config allow."""
    named = NamedFacts(config, SETTING)
    found: dict[tuple[object, ...], list[str]] = {}
    for module in spec.linears:
        facts = _facts(spec, module)
        stored = json.dumps(stored_settings(spec, module), sort_keys=True, default=repr)
        key = (facts["method"], stored, named.of(facts))
        found.setdefault(key, []).append(module)
    return tuple(_group(spec, modules, is_all=len(found) == 1) for modules in found.values())


def stored_settings(spec: ModelSpec, module: str) -> Mapping[str, Any]:
    """The method's parameters for a linear; empty if it is stored plainly."""
    return spec.quantization.linears.get(module, {}) if spec.quantization else {}


def _group(spec: ModelSpec, modules: Sequence[str], *, is_all: bool) -> LinearGroup:
    match = shared_facts(_facts(spec, module) for module in modules)
    method = str(match["method"])
    return LinearGroup(
        subject=(_ALL if is_all else _subject(spec, modules)) + _storage(spec, method),
        modules=tuple(modules),
        method=method,
        settings=stored_settings(spec, modules[0]),
        match=match,
        stored=_stored(spec, modules),
    )


def _stored(spec: ModelSpec, modules: Iterable[str]) -> tuple[StoredLinear, ...]:
    table = spec.quantization.stored if spec.quantization else {}
    found = (table[module] for module in modules if module in table)
    return tuple({id(stored): stored for stored in found}.values())


def _facts(spec: ModelSpec, module: str) -> dict[str, Scalar]:
    """The facts on which rules can match."""
    layer, name = _place(module)
    quantization = spec.quantization
    is_stored = quantization is not None and module in quantization.linears
    method = quantization.method if quantization and is_stored else _PLAIN
    return {"method": method, "layer": layer, "module": name}


def _subject(spec: ModelSpec, modules: Iterable[str]) -> str:
    """Layers are grouped by their linears: "linears of layers 1-3; mixer.q, mixer.k of layer 0; head"."""
    layers: dict[int, list[str]] = {}
    outside = []
    for module in modules:
        layer, name = _place(module)
        if layer is None:
            outside.append(name)
        else:
            layers.setdefault(layer, []).append(name)
    alike: dict[str, list[int]] = {}
    for layer, names in layers.items():
        is_whole = len(names) == sum(_place(module)[0] == layer for module in spec.linears)
        alike.setdefault("linears" if is_whole else ", ".join(names), []).append(layer)
    inside = [f"{names} of {layers_in_words(found)}" for names, found in alike.items()]
    return "; ".join([*inside, *outside])


def _storage(spec: ModelSpec, method: str) -> str:
    """How the linears of a group are stored, for a quantized checkpoint."""
    if spec.quantization is None:
        return ""
    return " (plain weights)" if method == _PLAIN else f" ({method})"


def _place(module: str) -> tuple[int | None, str]:
    """Layer and name of a module: `layers.3.mixer.q` is mixer.q of layer 3; the head has no layer."""
    _, _, rest = module.partition("layers.")
    layer, _, name = rest.partition(".")
    return (int(layer), name) if rest else (None, module)
