"""Rotary position embedding (Su et al. 2021): frequencies with their scalings, tables, and the rotation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import Rope, RopeScaling
from jackfield_torch.layers.compose import TensorFunction

# Rotations within the original length; Peng et al. 2023, section 3.2.
_BETA_FAST, _BETA_SLOW = 32.0, 1.0


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosines and signed sines for the tokens of one step, for the P rotating elements of a head."""

    cos_T1P: Tensor
    sin_T1P: Tensor


class RopeTable:
    """Cosines and sines of every position, made once. A step gathers its rows once for all layers.

    After the positions up to `max_length` follow the positions up to `unscaled_length` again, with the frequencies of
    a model that sees no more than these. `Rows.first_position_R` tells which of the two a row uses.
    """

    def __init__(
        self,
        rope: Rope,
        max_length: int,
        device: torch.device,
        dtype: torch.dtype,
        unscaled_length: int | None = None,
    ) -> None:
        frequencies_P, factor = rope_frequencies(rope, max_length)
        angles_LP = _angles(frequencies_P, max_length)
        if unscaled_length is not None:
            short_P, _ = rope_frequencies(rope, min(unscaled_length, max_length))
            angles_LP = torch.cat((angles_LP, _angles(short_P, min(unscaled_length, max_length))))
        cos_LP, sin_LP = angles_LP.cos() * factor, angles_LP.sin() * factor
        if rope.interleaved:
            rows = (cos_LP.repeat_interleave(2, 1), torch.stack((-sin_LP, sin_LP), 2).flatten(1))
        else:
            rows = (torch.cat((cos_LP, cos_LP), 1), torch.cat((-sin_LP, sin_LP), 1))
        self._table_L2P = torch.cat(rows, 1).to(device, dtype).unsqueeze(1)

    def rows(self, positions_T: Tensor) -> Rotation:
        """The rotation of these positions."""
        cos_T1P, sin_T1P = self._table_L2P.index_select(0, positions_T).chunk(2, -1)
        return Rotation(cos_T1P, sin_T1P)


class Rotate:
    """Rotates pairs of elements of each head: x * cos + partner(x) * sin. The sines carry the signs."""

    def __init__(self, partner: TensorFunction) -> None:
        self._partner = partner

    def __call__(self, x_TMH: Tensor, rotation: Rotation) -> Tensor:
        turned = x_TMH * rotation.cos_T1P
        return turned.addcmul_(self._partner(x_TMH), rotation.sin_T1P)


class RotateLeading:
    """Rotates the leading elements of each head, and leaves the others."""

    def __init__(self, size: int, rotate: Rotate) -> None:
        self._size = size
        self._rotate = rotate

    def __call__(self, x_TMH: Tensor, rotation: Rotation) -> Tensor:
        leading = self._rotate(x_TMH[..., : self._size], rotation)
        return torch.cat((leading, x_TMH[..., self._size :]), -1)


def build_rotate(rope: Rope, head_size: int) -> Rotate | RotateLeading:
    """The rotation for the rope's order of pairs and its share of the head."""
    if rope.rotary_size % 2 or not 0 < rope.rotary_size <= head_size:
        raise UnsupportedModelError(
            f"rope turns {rope.rotary_size} elements of a head of {head_size}; allowed: an even number up to that"
        )
    rotate = Rotate(_pair_partner if rope.interleaved else _half_partner(rope.rotary_size // 2))
    return rotate if rope.rotary_size == head_size else RotateLeading(rope.rotary_size, rotate)


def rope_frequencies(rope: Rope, max_length: int) -> tuple[Tensor, float]:
    """The angle for each token of the P pairs, in float32, and the factor of cosines and sines.

    `max_length` is the longest row of the engine; dynamic scaling sets its base by it once.
    """
    if rope.scaling is None:
        return _plain(rope.theta, rope.rotary_size), 1.0
    if rope.scaling.kind not in _SCALINGS:
        allowed = ", ".join(sorted(_SCALINGS))
        raise UnsupportedModelError(
            f"no rope scaling {rope.scaling.kind!r}; the torch runtime has: {allowed}"
        )
    return _SCALINGS[rope.scaling.kind](rope, rope.scaling, max_length)


def _angles(frequencies_P: Tensor, length: int) -> Tensor:
    return torch.outer(torch.arange(length, dtype=torch.float32), frequencies_P)


def _half_partner(half: int) -> TensorFunction:
    def partner(x: Tensor) -> Tensor:
        return x.roll(half, -1)

    return partner


def _pair_partner(x: Tensor) -> Tensor:
    return x.reshape(*x.shape[:-1], -1, 2).flip(-1).flatten(-2)


def _plain(theta: float, size: int) -> Tensor:
    exponents_P = torch.arange(0, size, 2, dtype=torch.float32) / size
    return 1.0 / (theta**exponents_P)


def _linear(rope: Rope, scaling: RopeScaling, max_length: int) -> tuple[Tensor, float]:
    return _plain(rope.theta, rope.rotary_size) / scaling.factor, 1.0


def _dynamic(rope: Rope, scaling: RopeScaling, max_length: int) -> tuple[Tensor, float]:
    """NTK-aware base for the configured length. Lengths within the original context change nothing."""
    original = _original_length(scaling)
    stretch = scaling.factor * max(max_length, original) / original - (scaling.factor - 1)
    size = rope.rotary_size
    return _plain(rope.theta * stretch ** (size / (size - 2)), size), 1.0


def _llama3(rope: Rope, scaling: RopeScaling, max_length: int) -> tuple[Tensor, float]:
    """Long waves are divided by the factor, short waves are kept, and those between are blended."""
    low, high = scaling.low_frequency, scaling.high_frequency
    if low is None or high is None or high < low:
        raise UnsupportedModelError(
            f"rope scaling llama3 has low_frequency={low}, high_frequency={high}; needs low <= high"
        )
    frequencies_P = _plain(rope.theta, rope.rotary_size)
    # Rotations within the original length.
    turns_P = _original_length(scaling) * frequencies_P / (2 * math.pi)
    # Llama 4 has no range between long and short waves.
    share_P = (
        ((turns_P - low) / (high - low)).clamp(0, 1) if high > low else (turns_P >= low).float()
    )
    return torch.lerp(frequencies_P / scaling.factor, frequencies_P, share_P), 1.0


def _yarn(rope: Rope, scaling: RopeScaling, max_length: int) -> tuple[Tensor, float]:
    """Peng et al. 2023: interpolates slow pairs, keeps fast pairs, and sharpens attention by a factor."""
    size, original = rope.rotary_size, _original_length(scaling)

    def pair_that_turns(times: float) -> float:
        return size * math.log(original / (times * 2 * math.pi)) / (2 * math.log(rope.theta))

    start = pair_that_turns(scaling.beta_fast or _BETA_FAST)
    end = pair_that_turns(scaling.beta_slow or _BETA_SLOW)
    if scaling.truncate is not False:
        start, end = math.floor(start), math.ceil(end)
    start, end = max(start, 0), min(end, size - 1)
    width = end - start or 0.001  # a step instead of a ramp
    ramp_P = ((torch.arange(size // 2, dtype=torch.float32) - start) / width).clamp(0, 1)
    frequencies_P = _plain(rope.theta, size)
    return torch.lerp(frequencies_P, frequencies_P / scaling.factor, ramp_P), _yarn_factor(scaling)


def _longrope(rope: Rope, scaling: RopeScaling, max_length: int) -> tuple[Tensor, float]:
    """Ding et al. 2024: a divisor for each pair, which depends on whether the engine exceeds the original length."""
    original = _original_length(scaling)
    name = "long_factors" if max_length > original else "short_factors"
    factors = getattr(scaling, name)
    if len(factors) != rope.rotary_size // 2:
        raise UnsupportedModelError(
            f"rope scaling longrope has {len(factors)} {name}; needs one for each of {rope.rotary_size // 2} pairs"
        )
    sharpening = scaling.attention_factor
    if sharpening is None:
        factor = scaling.factor
        sharpening = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    return _plain(rope.theta, rope.rotary_size) / torch.tensor(factors), sharpening


def _yarn_factor(scaling: RopeScaling) -> float:
    if scaling.attention_factor is not None:
        return scaling.attention_factor
    if scaling.mscale and scaling.mscale_all_dim:
        return _yarn_mscale(scaling.factor, scaling.mscale) / _yarn_mscale(
            scaling.factor, scaling.mscale_all_dim
        )
    return _yarn_mscale(scaling.factor, 1.0)


def _yarn_mscale(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


def _original_length(scaling: RopeScaling) -> int:
    if scaling.original_length is None:
        raise UnsupportedModelError(
            f"rope scaling {scaling.kind} has no original_length; the model plugin must give one, in tokens"
        )
    return scaling.original_length


_SCALINGS: dict[str, Callable[[Rope, RopeScaling, int], tuple[Tensor, float]]] = {
    "linear": _linear,
    "dynamic": _dynamic,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}
