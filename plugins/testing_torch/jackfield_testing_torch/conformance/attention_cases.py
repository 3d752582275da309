"""What attention may be asked for, as data: steps, shapes, dtypes, features; and what of it a backend claims."""

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

STEPS: Mapping[str, tuple[tuple[int, int], ...]] = {  # rows as (queries, tokens in all)
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
    """One thing that a step of a cache group may ask for."""

    rows: str = "mixed"  # of STEPS
    dtype: str = "float32"
    cache_dtype: str = ""  # "": the same
    block_size: int = 16
    heads: tuple[int, int] = (6, 2)  # of queries, of keys and values
    head_size: int = 64
    window: int | None = None
    chunk_size: int | None = None
    causal: bool = True
    soft_cap: float | None = None
    sinks: bool = False
    latent: int | None = None  # the first so many elements of the one key are the value
    sharpness: float = 1.0  # the scale times the root of the head size
    tables: str = "permuted"  # or "ascending", or "shared": rows begin with the same blocks

    def __str__(self) -> str:
        return "-".join(_words(self))

    @property
    def scale(self) -> float:
        """What scores are multiplied with."""
        return self.sharpness / math.sqrt(self.head_size)

    @property
    def dtypes(self) -> tuple[str, str]:
        """Of the queries and of the cache."""
        return self.dtype, self.cache_dtype or self.dtype

    def need(self, device: str) -> AttentionNeed:
        """What an engine would ask the backend for."""
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


CORE_AXES: Mapping[str, tuple[Any, ...]] = {  # every backend claims something of each
    "dtype": ("float32", "bfloat16", "float16"),
    "block_size": (16, 1, 3, 32, 64, 256),
    "heads": ((6, 2), (4, 4), (4, 2), (8, 2), (16, 2), (8, 1), (1, 1)),
    "head_size": (64, 128, 16, 80, 96, 256),
}
LATENT_SHAPES: Mapping[str, Mapping[str, Any]] = {  # of a cache that holds one vector of a token
    "deepseek": {"heads": (16, 1), "head_size": 576, "latent": 512},
    "small": {"heads": (4, 1), "head_size": 48, "latent": 32},
}
FEATURES: Mapping[str, Mapping[str, Any]] = {  # what a layer may add, one by one
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
    """Each value of each axis but those that ask nothing of a backend's claims."""
    for axis in ASKED_AXES:
        yield from ((axis, v) for v in AXES[axis] if v != _UNASKED.get(axis, _UNASKED))


class Claims:
    """What the backend of a kit says that it can do on one device."""

    def __init__(self, kit: ConformanceKit, device: str) -> None:
        self.card: AttentionBackend = kit.load()
        self.device = torch.device(device)
        self.layouts = self.card.layouts
        self._kit = kit

    def with_order(self, order: str) -> Claims:
        """The same, as if it read no other order of the axes."""
        one = Claims(self._kit, self.device.type)
        one.layouts = replace(self.layouts, orders=(order,))
        return one

    def refusal(self, case: AttentionCase) -> str:
        """Why the backend does not serve a case, in its own words; empty if it does."""
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
        """The same of what an engine would ask for."""
        return self._kit.refusal(need)

    def layout(self, case: AttentionCase) -> CacheLayout:
        """The layout that an engine would give it. Raises SelectionError."""
        dtype = parse_dtype(case.dtypes[1])
        return choose_layout({self._kit.name: self.layouts}, case.block_size, dtype, "the kit")

    def base(self, dtype: str = "") -> AttentionCase | None:
        """The plainest case that it serves, of that dtype or of any."""
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
        """The plainest case of each dtype that it serves: other dtypes may run other kernels."""
        found = (self.base(dtype) for dtype in CORE_AXES["dtype"])
        return [base for base in found if base is not None]

    def cases(self, strength: int) -> list[AttentionCase]:
        """Of all that it serves, so many that in each dtype any `strength` values that it serves together meet in one."""
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
        """Those of the plainest case first. Without what is refused whatever the other values are."""
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
    """Whether there is a case that is served and has some values, whatever its other values are."""

    def __init__(
        self, axes: Mapping[str, Sequence[Any]], refusal: Callable[[AttentionCase], str]
    ) -> None:
        self._axes = axes  # the values that are most likely to be served come first
        self._refusal = refusal
        self._answers: dict[tuple[Any, ...], bool] = {}

    def __call__(self, choice: Choice) -> bool:
        """Values of axes on which no answer depends are passed over."""
        open_values = [(choice[a],) if a in choice else vs for a, vs in self._axes.items()]
        return any(map(self._is_served, product(*open_values)))

    def _is_served(self, chosen: tuple[Any, ...]) -> bool:
        if chosen not in self._answers:
            case = AttentionCase(**dict(zip(self._axes, chosen, strict=True)))
            self._answers[chosen] = not self._refusal(case)
        return self._answers[chosen]


def _words(case: AttentionCase) -> Iterator[str]:
    """What differs from the plainest case, rows and dtype always."""
    yield from (case.rows, case.dtype)
    for item in fields(case)[2:]:
        value = getattr(case, item.name)
        if value != item.default:
            shown = "x".join(map(str, value)) if isinstance(value, tuple) else value
            yield f"{item.name}={shown}"
