"""Adapters: small changes of a model's weights that each request may name, and the card of what reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jackfield.config import EngineConfig
from jackfield.interfaces.card import Card
from jackfield.model_spec import ModelSpec

SECTION = "adapters"  # key in StepPlan.sections


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFiles:
    """An adapter on this machine: the facts of its files, without their weights."""

    name: str  # the user's word
    path: str  # folder
    settings: Mapping[str, Any] = field(hash=False)  # content of adapter_config.json
    shapes: Mapping[str, tuple[int, ...]] = field(hash=False)  # of its tensors, by name
    weights: str  # path of the safetensors file


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterNeed:
    """What an engine asks of a plugin for adapters."""

    model: ModelSpec
    modules: frozenset[str]  # linears of the model to which the runtime can add something
    adapters: tuple[AdapterFiles, ...]  # all that are to be loaded at once
    config: EngineConfig = field(hash=False)  # holds the plugin's own options


@dataclass(frozen=True, slots=True)
class AdapterChange:
    """An adapter that workers load before the rows of a plan, or forget if `path` is empty.

    A plan has a sequence of them in `sections["adapters"]`.
    """

    name: str
    path: str = ""  # folder


class AdapterFormat(Card):
    """The card. `check(AdapterNeed, facts)` refuses what the plugin could not compute exactly.

    Requests name one adapter (`SamplingParams.adapter`). Rows of a step may have different ones, or none.
    """
