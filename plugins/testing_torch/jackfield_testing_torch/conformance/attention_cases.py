"""Cases of attention as data (steps, shapes, dtypes, features), and the cases that a backend claims to serve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import product
from typing import Any

import torch

from jackfield.cache import CacheLayout
from jackfield.dtypes import parse_dtype
from jackfield.errors import SelectionError
from jackfield.features import features_in_use
from jackfield_testing.conformance.kit import ConformanceKit
from jackfield_testing_torch.conformance.covering import Choice, covering
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed
from jackfield_torch.paged_cache import choose_layout

# The rows of a step, as (queries, tokens in all).
STEPS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "mixed": ((1, 30), (6, 6), (1, 4), (3, 21), (1, 90), (16, 16)),
    "prompt": ((37, 37),),
    "prompts": ((7, 7), (33, 33), (1, 1), (16, 16)),
    "first": ((1, 1),),
    "chunk": ((5, 38),),
    "chunks": ((17, 33), (16, 32), (2, 129)),
    "decode": ((1, 49),),
    "decodes": ((1, 3), (1, 40), (1, 17), (1, 1), (1, 40), (1, 65)),
    "long": ((1, 700), (3, 515), (1, 5)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionCase:
    """One combination of what a step of a cache group may need."""

    rows: str = "mixed"  # a key of STEPS
    dtype: str = "float32"
    cache_dtype: str = ""  # "": the same as `dtype`
    block_size: int = 16
    heads: tuple[int, int] = (6, 2)  # query heads, and heads of keys and values
    head_size: int = 64
    window: int | None = None
    chunk_size: int | None = None
    causal: bool = True
    soft_cap: float | None = None
    sinks: bool = False
    latent: int | None = None  # the value is this many leading elements of the key
    sharpness: float = 1.0  # the scale times the root of the head size
    tables: str = "permuted"  # or "ascending", or "shared": rows begin with the same blocks

    def __str__(self) -> str:
        return "-".join(_words(self))

    @property
    def scale(self) -> float:
        """The factor of the scores."""
        return self.sharpness / math.sqrt(self.head_size)

    @property
    def dtypes(self) -> tuple[str, str]:
        """The dtypes of the queries and of the cache."""
        return self.dtype, self.cache_dtype or self.dtype

    def need(self, device: str) -> AttentionNeed:
        """The need that an engine would state for this case."""
        return AttentionNeed(
            device=device,
            dtype=self.dtype,
            cache_dtype=self.dtypes[1],
            num_heads=self.heads[0],
            num_kv_heads=self.heads[1],
            head_size=self.head_size,
            block_size=self.block_size,
            window=self.window is not None,
            chunked=self.chunk_size is not None,
            soft_cap=self.soft_cap is not None,
            sinks=self.sinks,
            non_causal=not self.causal,
            latent=self.latent,
        )


# Every backend claims at least one value of each of these axes.
CORE_AXES: Mapping[str, tuple[Any, ...]] = {
    "dtype": ("float32", "bfloat16", "float16"),
    "block_size": (16, 1, 3, 32, 64, 256),
    "heads": ((6, 2), (4, 4), (4, 2), (8, 2), (16, 2), (8, 1), (1, 1)),
    "head_size": (64, 128, 16, 80, 96, 256),
}
# Shapes of a cache that holds one vector for each token.
LATENT_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "deepseek": {"heads": (16, 1), "head_size": 576, "latent": 512},
    "small": {"heads": (4, 1), "head_size": 48, "latent": 32},
}
# Features of a layer, one by one.
FEATURES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "window_5": {"window": 5},
    "window_200": {"window": 200},
    "window_1500": {"window": 1500},
    "chunks_24": {"chunk_size": 24},
    "chunks_1500": {"chunk_size": 1500},
    "soft_cap": {"soft_cap": 0.7},
    "sinks": {"sinks": True},
    "non_causal": {"causal": False},
}
AXES: Mapping[str, tuple[Any, ...]] = {
    "rows": tuple(STEPS),
    **CORE_AXES,
    "cache_dtype": ("", "bfloat16", "float16", "float32", "float8_e4m3"),
    "window": (None, 1, 5, 32),
    "chunk_size": (None, 7, 32),
    "soft_cap": (None, 0.8),
    "sinks": (False, True),
    "sharpness": (1.0, 2.5),
    "tables": ("permuted", "ascending", "shared"),
    "causal": (True, False),
}
ASKED_AXES = tuple(axis for axis in AXES if axis not in ("rows", "sharpness", "tables"))
_UNASKED: Mapping[str, Any] = {
    "cache_dtype": "",
    "window": None,
    "chunk_size": None,
    "soft_cap": None,
    "sinks": False,
    "causal": True,
}


def values() -> Iterator[tuple[str, Any]]:
    """Each value of each axis, except the defaults of optional features, which every backend serves."""
    for axis in ASKED_AXES:
        yield from ((axis, v) for v in AXES[axis] if v != _UNASKED.get(axis, _UNASKED))


class Claims:
    """The claims of a kit's backend on one device."""

    def __init__(self, kit: ConformanceKit, device: str) -> None:
        self.card: AttentionBackend = kit.load()
        self.device = torch.device(device)
        self.layouts = self.card.layouts
        self._kit = kit
        self._refusals: dict[AttentionNeed, str] = {}  # many cases have one need

    def with_order(self, order: str) -> Claims:
        """The claims of a backend that declares no other order of the cache's axes."""
        one = Claims(self._kit, self.device.type)
        one.layouts = replace(self.layouts, orders=(order,))
        return one

    def refusal(self, case: AttentionCase) -> str:
        """The backend's reason for refusing a case; empty if it serves the case."""
        if (case.window or case.chunk_size) and not case.causal:
            return "a window or chunks without causality are defined nowhere"
        if case.window and case.chunk_size:
            return "a window within chunks is defined nowhere"
        if refusal := self.refusal_of(case.need(self.device.type)):
            return refusal
        try:
            self.layout(case)
        except SelectionError as error:
            return str(error)
        return ""

    def refusal_of(self, need: AttentionNeed) -> str:
        """The backend's reason for refusing a need; empty if it serves the need."""
        if need not in self._refusals:
            self._refusals[need] = self._kit.refusal(need)
        return self._refusals[need]

    def layout(self, case: AttentionCase) -> CacheLayout:
        """The layout that an engine would choose. Raises SelectionError."""
        dtype = parse_dtype(case.dtypes[1])
        return choose_layout({self._kit.name: self.layouts}, case.block_size, dtype, "the kit")

    def base(self, dtype: str = "") -> AttentionCase | None:
        """The plainest case that the backend serves, of the given dtype or of any."""
        axes = {**CORE_AXES, "causal": (True, False)}
        if dtype:
            axes["dtype"] = (dtype,)
        for chosen in product(*axes.values()):
            case = AttentionCase(**dict(zip(axes, chosen, strict=True)))
            if not self.refusal(case):
                return case
        return None

    @cached_property
    def bases(self) -> list[AttentionCase]:
        """The plainest case of each dtype that the backend serves, because other dtypes may run other kernels."""
        found = (self.base(dtype) for dtype in CORE_AXES["dtype"])
        return [base for base in found if base is not None]

    def cases(self, strength: int) -> list[AttentionCase]:
        """Served cases in which any `strength` values occur together, for each dtype and all values that can do so."""
        return [
            AttentionCase(**choice)
            for base in self.bases
            for choice in self._choices(base, strength)
        ]

    def _choices(self, base: AttentionCase, strength: int) -> Iterator[Choice]:
        axes = {axis: self._values_of(axis, base) for axis in AXES}
        is_served = ServedTogether({axis: axes[axis] for axis in ASKED_AXES}, self.refusal)
        served = {axis: [v for v in axes[axis] if is_served({axis: v})] for axis in axes}
        return covering(served, strength, is_served)

    def _values_of(self, axis: str, base: AttentionCase) -> list[Any]:
        """The values of an axis, the one of the plainest case first, without values that are always refused."""
        if axis == "dtype":
            return [base.dtype]
        first = getattr(base, axis)
        others = [value for value in AXES[axis] if value not in (first, base.dtype)]
        return [
            first,
            *(v for v in others if not self._is_never_served(replace(base, **{axis: v}))),
        ]

    def _is_never_served(self, case: AttentionCase) -> bool:
        need = case.need(self.device.type)
        return not ("*" in self.card.features or features_in_use(need) <= self.card.features)


class ServedTogether:
    """Tells whether any served case has the given values, whatever its other values are."""

    def __init__(
        self, axes: Mapping[str, Sequence[Any]], refusal: Callable[[AttentionCase], str]
    ) -> None:
        self._axes = axes  # the values that are most likely to be served come first
        self._refusal = refusal
        self._answers: dict[tuple[Any, ...], bool] = {}

    def __call__(self, choice: Choice) -> bool:
        """True if a served case has these values. Axes on which no answer depends are ignored."""
        open_values = [(choice[a],) if a in choice else vs for a, vs in self._axes.items()]
        return any(map(self._is_served, product(*open_values)))

    def _is_served(self, chosen: tuple[Any, ...]) -> bool:
        if chosen not in self._answers:
            case = AttentionCase(**dict(zip(self._axes, chosen, strict=True)))
            self._answers[chosen] = not self._refusal(case)
        return self._answers[chosen]


def _words(case: AttentionCase) -> Iterator[str]:
    """Rows and dtype, and all values that differ from the defaults."""
    yield from (case.rows, case.dtype)
    for item in fields(case)[2:]:
        value = getattr(case, item.name)
        if value != item.default:
            shown = "x".join(map(str, value)) if isinstance(value, tuple) else value
            yield f"{item.name}={shown}"
