"""Adapters as PEFT stores them: which linears they change, by how much, and what is refused. Imports no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jackfield.decision import Reason
from jackfield.interfaces.adapters import AdapterFiles
from jackfield.model_spec import Entry, ModelSpec, Offset, Transform, Transpose

_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_SHOWN = 3
# Settings that change the computation, with the values that leave it as it is.
_REFUSED: Mapping[str, tuple[Any, ...]] = {
    "use_dora": (None, False),
    "use_qalora": (None, False),
    "bias": (None, "none"),
    "lora_bias": (None, False),
    "modules_to_save": (None, [], ""),
    "trainable_token_indices": (None, [], {}),
    "target_parameters": (None, []),
    "alora_invocation_tokens": (None, []),
}


@dataclass(frozen=True, slots=True)
class LowRank:
    """What an adapter adds to one linear of the model: scale * B @ A."""

    a: str  # name of the tensor [rank, inputs]
    b: str  # name of the tensor [outputs, rank], of the whole stored matrix
    transforms: tuple[Transform, ...]  # from the rows of B to those of the linear
    scale: float


def largest_rank(adapter: AdapterFiles) -> int:
    """The largest rank of its matrices."""
    return max((shape[0] for name, shape in adapter.shapes.items() if name.endswith(_A)), default=0)


def refuse(
    adapter: AdapterFiles, spec: ModelSpec, modules: frozenset[str], max_rank: int
) -> Iterator[Reason]:
    """Why this adapter cannot be computed exactly."""
    name, settings = adapter.name, adapter.settings
    if (kind := settings.get("peft_type")) != "LORA":
        yield Reason("type", f"adapter {name!r} is of type {kind!r}; LORA is served")
        return
    for key, allowed in _REFUSED.items():
        if (value := settings.get(key)) not in allowed:
            text = f"adapter {name!r} has {key} = {value!r:.80}, which is not served"
            yield Reason("setting", text, "train it without, or merge it into the model")
    stored = _stored_modules(spec, modules)
    tensors = [tensor for tensor in adapter.shapes if _module_of(tensor) not in stored]
    if tensors or not adapter.shapes:
        shown = ", ".join(tensors[:_SHOWN]) or "nothing"
        more = f" and {len(tensors) - _SHOWN} more" if len(tensors) > _SHOWN else ""
        text = (
            f"adapter {name!r} changes {shown}{more}; linears of attention and dense feed-forwards of "
            f"{spec.architecture} are served"
        )
        yield Reason("modules", text, "check that it was made for this model")
        return
    yield from _refuse_shapes(adapter, spec, stored)
    if (rank := largest_rank(adapter)) > max_rank:
        text = f"adapter {name!r} has rank {rank}; this engine has room for {max_rank}"
        yield Reason("rank", text, f"set options.lora.max_rank to {rank}")


def low_ranks(
    adapter: AdapterFiles, spec: ModelSpec, modules: frozenset[str]
) -> dict[str, LowRank]:
    """What a checked adapter adds, by the linear of the model."""
    stored = _stored_modules(spec, modules)
    found = {}
    for tensor, shape in adapter.shapes.items():
        if not tensor.endswith(_A):
            continue
        place = tensor.removesuffix(_A)
        scale = _scale(adapter.settings, place.removeprefix(_PREFIX), shape[0])
        for module in stored[_module_of(tensor)]:
            transforms = _row_transforms(spec, module)
            found[module] = LowRank(tensor, place + _B, transforms, scale)
    return found


def _stored_modules(spec: ModelSpec, modules: frozenset[str]) -> dict[str, list[str]]:
    """The linears that stand in each matrix of the checkpoint, also under its name without the first part."""
    found: dict[str, list[str]] = {}
    for module in sorted(modules):
        source = spec.source(module)
        if source.is_weight or any(isinstance(t, Entry | Offset) for t in source.transforms):
            continue
        found.setdefault(source.prefix, []).append(module)
    return {**{name.partition(".")[2]: linears for name, linears in found.items()}, **found}


def _module_of(tensor: str) -> str:
    """The matrix that a tensor of an adapter changes; "" if it is no part of a low-rank product."""
    if not tensor.startswith(_PREFIX) or not tensor.endswith((_A, _B)):
        return ""
    return tensor.removeprefix(_PREFIX).removesuffix(_A).removesuffix(_B)


def _row_transforms(spec: ModelSpec, module: str) -> tuple[Transform, ...]:
    """PEFT stores B by outputs and A by inputs, also where the checkpoint stores the transpose."""
    return tuple(t for t in spec.source(module).transforms if not isinstance(t, Transpose))


def _refuse_shapes(
    adapter: AdapterFiles, spec: ModelSpec, stored: Mapping[str, list[str]]
) -> Iterator[Reason]:
    sizes = spec.shapes
    for tensor, shape in adapter.shapes.items():
        module = stored[_module_of(tensor)][0]
        out_size, in_size = sizes[module]
        other = tensor[: -len(_A)] + (_B if tensor.endswith(_A) else _A)
        is_whole = not _row_transforms(spec, module)
        wanted_a, wanted_b = (None, in_size), (out_size if is_whole else None, None)
        wanted = wanted_a if tensor.endswith(_A) else wanted_b
        fits = len(shape) == 2 and all(w in (None, s) for w, s in zip(wanted, shape, strict=False))
        if not fits or other not in adapter.shapes:
            text = f"adapter {adapter.name!r} has {tensor} of shape {shape}, which does not fit {module}"
            yield Reason("shape", text, "check that it was made for this model, and is whole")
            return


def _scale(settings: Mapping[str, Any], place: str, rank: int) -> float:
    """lora_alpha / rank, or lora_alpha / sqrt(rank) for rank-stabilised adapters (Kalajdzievski 2023)."""
    alpha = settings.get("lora_alpha", 8)
    for pattern, value in (settings.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", place):
            alpha = value
            break
    return float(alpha) / (math.sqrt(rank) if settings.get("use_rslora") else rank)
