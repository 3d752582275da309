"""How far a result may differ from the same sum in float64. All such numbers stand here.

docs/conformance.md, section "Tolerances", has the same table with the reasons; a test compares them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_ACCUMULATOR_UNIT = 2.0**-23  # sums run in float32 whatever the dtype
_FLUSHED = 2.0**-126  # devices may make smaller float32 numbers 0
LOGITS = 1e-4  # for a tiny model in float32, relative to its largest logit
LOG_PROBABILITIES = 2e-4  # the same; each of them contains two logits


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The numbers for one dtype."""

    unit: float  # from 1 to the next larger number of the dtype
    smallest: float  # the smallest number with all bits of the dtype
    attention: int  # units, for queries, scores, probabilities and outputs
    linear: int  # units, for weights and outputs


TOLERANCES: Mapping[str, Tolerance] = {
    "float32": Tolerance(unit=2.0**-23, smallest=2.0**-126, attention=64, linear=2),
    "bfloat16": Tolerance(unit=2.0**-7, smallest=2.0**-126, attention=4, linear=2),
    "float16": Tolerance(unit=2.0**-10, smallest=2.0**-14, attention=4, linear=2),
}


@dataclass(frozen=True, slots=True)
class ExactSum:
    """Sums in float64, and the sizes of possible rounding errors; three tensors of one shape."""

    value: Tensor
    noise: Tensor  # root of the sum of squared terms, to which errors of single terms add up
    reach: Tensor  # sum of absolute terms, to which the error of a running sum is relative
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
    """Raise AssertionError if rounding in the coarsest of `dtypes` does not explain the difference."""
    tolerances = [TOLERANCES[dtype] for dtype in dtypes]
    coarsest = max(tolerances, key=lambda tolerance: tolerance.unit)
    smallest = max(tolerance.smallest for tolerance in tolerances)
    _check(found, exact, replace(coarsest, smallest=smallest), coarsest.attention)


def check_linear(found: Tensor, exact: ExactSum, dtype: str, input_unit: float = 0.0) -> None:
    """Raise AssertionError if rounding of a matrix product in `dtype` does not explain the difference.

    `input_unit` is the unit of the format to which inputs are rounded, if that is coarser.
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
