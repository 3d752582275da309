"""How far a result may be from the same sum in float64: the one place of all such figures.

docs/conformance.md, section "Tolerances", holds the same table with the reasons; a test compares them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_ACCUMULATOR_UNIT = 2.0**-23  # sums run in float32 whatever the dtype
_FLUSHED = 2.0**-126  # below it devices may make 0 of a float32
LOGITS = 1e-4  # of a tiny model in float32, relative to the largest one
LOG_PROBABILITIES = 2e-4  # the same: each holds two of them


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Figures of one dtype."""

    unit: float  # from 1 to the next number of the dtype
    smallest: float  # that it holds with all its bits
    attention: int  # units: of queries, scores, probabilities and outputs
    linear: int  # units: of weights and outputs


TOLERANCES: Mapping[str, Tolerance] = {
    "float32": Tolerance(unit=2.0**-23, smallest=2.0**-126, attention=64, linear=2),
    "bfloat16": Tolerance(unit=2.0**-7, smallest=2.0**-126, attention=4, linear=2),
    "float16": Tolerance(unit=2.0**-10, smallest=2.0**-14, attention=4, linear=2),
}


@dataclass(frozen=True, slots=True)
class ExactSum:
    """Sums in float64, and what rounding their terms could add up to; three tensors of one shape."""

    value: Tensor
    noise: Tensor  # root of the sum of squared terms: what errors of single terms add up to
    reach: Tensor  # sum of the terms' sizes: what the errors of a running sum are relative to
    num_terms: int

    def allowed(self, tolerance: Tolerance, units: int) -> Tensor:
        """The largest difference from `value` that rounding explains."""
        size = self.value.abs() + self.noise + tolerance.smallest
        drift = math.sqrt(self.num_terms) * _ACCUMULATOR_UNIT * self.reach
        return units * tolerance.unit * size + drift + _FLUSHED


def join(sums: Sequence[ExactSum], axis: int = 0) -> ExactSum:
    """Several sums, one after another."""
    return ExactSum(
        torch.cat([part.value for part in sums], axis),
        torch.cat([part.noise for part in sums], axis),
        torch.cat([part.reach for part in sums], axis),
        max(part.num_terms for part in sums),
    )


def check_attention(found: Tensor, exact: ExactSum, *dtypes: str) -> None:
    """Raises AssertionError if attention in the coarsest of `dtypes` explains no such difference."""
    tolerances = [TOLERANCES[dtype] for dtype in dtypes]
    coarsest = max(tolerances, key=lambda tolerance: tolerance.unit)
    smallest = max(tolerance.smallest for tolerance in tolerances)
    _check(found, exact, replace(coarsest, smallest=smallest), coarsest.attention)


def check_linear(found: Tensor, exact: ExactSum, dtype: str, input_unit: float = 0.0) -> None:
    """Raises AssertionError if a matrix product in `dtype` explains no such difference.

    `input_unit` is that of the format which the inputs are rounded to, where that is coarser.
    """
    tolerance = TOLERANCES[dtype]
    tolerance = replace(tolerance, unit=max(tolerance.unit, input_unit))
    _check(found, exact, tolerance, tolerance.linear)


def _check(found: Tensor, exact: ExactSum, tolerance: Tolerance, units: int) -> None:
    assert found.shape == exact.value.shape, (
        f"the shape is {tuple(found.shape)}, not {tuple(exact.value.shape)}"
    )
    if not found.numel():
        return
    off = (found.detach().cpu().double() - exact.value).abs()
    excess = (off / exact.allowed(tolerance, units)).nan_to_num(nan=torch.inf)
    worst = int(excess.argmax())
    place = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), excess.shape))
    assert float(excess.max()) <= 1, (
        f"{int((excess > 1).sum())} of {excess.numel()} numbers are off by more than is allowed; "
        f"the worst, at {place}, is {float(found[place]):.8g} instead of "
        f"{float(exact.value[place]):.8g}: {float(excess.max()):.3g} times what is allowed"
    )
