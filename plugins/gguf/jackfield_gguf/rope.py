"""Rotary scaling: from metadata and frequency divisors to the `rope_scaling` of a config."""

from __future__ import annotations

import math
import struct
from typing import Any

from jackfield.errors import CheckpointError
from jackfield_gguf.metadata import Metadata
from jackfield_gguf.reader import GgufTensor

FREQUENCIES = "rope_freqs.weight"
_USUAL_LENGTH = 8192  # of Llama 3 and 4 before scaling
_TOLERANCE = 1e-3  # relative tolerance of a divisor; the files hold float32


def read_scaling(metadata: Metadata, theta: float) -> dict[str, Any] | None:
    """The config's `rope_scaling`; None if nothing is scaled."""
    divisors = metadata.file.tensors.get(FREQUENCIES)
    if divisors is not None:
        return _llama3(metadata, _floats(metadata, divisors), theta)
    kind = metadata.get("rope.scaling.type", str)
    factor = metadata.get("rope.scaling.factor", float) or metadata.get("rope.scale_linear", float)
    if kind == "none" or not factor or (factor == 1 and kind != "yarn"):
        return None
    if kind in (None, "linear"):
        return {"rope_type": "linear", "factor": factor}
    if kind == "yarn":
        return _yarn(metadata, factor)
    raise CheckpointError(
        f"{metadata.path} scales its rotary frequencies by {kind!r}; supported: none, linear, yarn "
        "and llama3. Use the model's original checkpoint"
    )


def _yarn(metadata: Metadata, factor: float) -> dict[str, Any]:
    scaling: dict[str, Any] = {"rope_type": "yarn", "factor": factor}
    length = metadata.get("rope.scaling.original_context_length", int)
    values = {
        "original_max_position_embeddings": length,
        "beta_fast": metadata.get("rope.scaling.yarn_beta_fast", float),
        "beta_slow": metadata.get("rope.scaling.yarn_beta_slow", float),
    }
    extra = metadata.get("rope.scaling.attn_factor", float, 1.0)
    extra *= metadata.get("rope.scaling.yarn_attn_factor", float, 1.0)
    if extra != 1 and factor > 1:  # the file's factor multiplies the one of Peng et al. 2023
        values["attention_factor"] = extra * (0.1 * math.log(factor) + 1)
    return scaling | {key: value for key, value in values.items() if value is not None}


def _floats(metadata: Metadata, tensor: GgufTensor) -> tuple[float, ...]:
    if tensor.format.name != "F32":
        raise CheckpointError(
            f"{metadata.path}: tensor {FREQUENCIES!r} is stored as {tensor.format.name}; F32 is "
            "supported. Convert the model again"
        )
    data = metadata.file.data(tensor)
    return struct.unpack(f"<{len(data) // 4}f", data)


def _llama3(metadata: Metadata, divisors: tuple[float, ...], theta: float) -> dict[str, Any] | None:
    """The parameters of the divisors, found from their shape and then checked against each divisor.

    With x = frequency / 2 pi (turns a token), a divisor is 1 if x is large, `factor` if it is small, and between them
    1 / ((1 - s) / factor + s) with s = (length * x - low) / (high - low). Only length / low and high / low can be
    found.
    """
    factor = max(divisors)
    if factor <= 1 + _TOLERANCE:
        return None
    size = 2 * len(divisors)
    turns = [theta ** (-2 * i / size) / (2 * math.pi) for i in range(len(divisors))]
    length, high = _fit(factor, divisors, turns)
    if not _agree(divisors, turns, factor, high, length):
        length, high = _step(factor, divisors, turns), 1.0
    if not _agree(divisors, turns, factor, high, length):
        raise CheckpointError(
            f"{metadata.path}: the divisors of rotary frequencies in {FREQUENCIES!r} are none that "
            f"Llama 3's rule gives (factor {factor:g}, fitted length {length:g}); that rule is "
            "supported. Use the model's original checkpoint"
        )
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": high,
        "original_max_position_embeddings": length,
    }


def _fit(factor: float, divisors: tuple[float, ...], turns: list[float]) -> tuple[int, float]:
    """Length and `high` for `low` = 1, from the two outermost points of the slope; without them, those of Llama 3."""
    slope = [
        (x, (1 / d - 1 / factor) / (1 - 1 / factor))
        for d, x in zip(divisors, turns, strict=True)
        if 1 + _TOLERANCE < d < factor * (1 - _TOLERANCE)
    ]
    if len(slope) < 2:
        return _USUAL_LENGTH, 4.0
    (x1, s1), (x2, s2) = slope[0], slope[-1]
    rise = (s1 - s2) / (x1 - x2)  # length / (high - 1)
    start = s1 - rise * x1  # -1 / (high - 1)
    high = 1 - 1 / start
    return round(rise * (high - 1)), round(high, 3)


def _step(factor: float, divisors: tuple[float, ...], turns: list[float]) -> int:
    """A length for high = low, as Llama 4 has it: nothing lies between divisors of 1 and `factor`."""
    long = [1 / x for d, x in zip(divisors, turns, strict=True) if d > 1 + _TOLERANCE]
    short = [1 / x for d, x in zip(divisors, turns, strict=True) if d <= 1 + _TOLERANCE]
    least, most = max(short, default=0.0), min(long)
    return _USUAL_LENGTH if least <= _USUAL_LENGTH < most else math.ceil(least)


def _agree(
    divisors: tuple[float, ...], turns: list[float], factor: float, high: float, length: int
) -> bool:
    expected = [_divisor(factor, high, length, x) for x in turns]
    pairs = zip(divisors, expected, strict=True)
    return all(abs(a - b) <= _TOLERANCE * b for a, b in pairs)


def _divisor(factor: float, high: float, length: int, x: float) -> float:
    if high == 1:
        return 1.0 if length * x >= 1 else factor
    s = min(max((length * x - 1) / (high - 1), 0.0), 1.0)
    return 1 / ((1 - s) / factor + s)
