"""Linear biases of attention (Press et al. 2022) as additional elements of queries and keys, for every backend.

The bias of head n for a query at i and a key at j is slope_n (j - i). A term that is equal for all keys does not
change a softmax, so slope_n j is enough: keys carry their position, queries the slope. A position is cut into three
parts of at most eight bits, which bfloat16 holds exactly. Slopes that are no powers of two are rounded to the dtype
of queries.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jackfield.model_spec import ALIBI_SIZE

_PARTS = (1, 256, 65536)  # the weight of each part of a position


class Alibi:
    """Widens heads by ALIBI_SIZE elements."""

    def __init__(self, slopes_N: Tensor, scale: float, dtype: torch.dtype) -> None:
        """`scale` multiplies the scores, so the slopes are divided by it."""
        parts_P = torch.tensor(_PARTS, dtype=torch.float32, device=slopes_N.device)
        slopes_NP = slopes_N.float().unsqueeze(1) / scale * parts_P
        self._q_NA = torch.nn.functional.pad(slopes_NP, (0, ALIBI_SIZE - len(_PARTS))).to(dtype)
        self._parts_P = parts_P.long()

    def __call__(
        self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, positions_T: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v with heads of H + ALIBI_SIZE elements. The additional elements of v are zeros."""
        num_tokens, num_kv_heads, _ = k_TKH.shape
        digits_TP = (positions_T.unsqueeze(1) // self._parts_P) % 256
        k_TA = torch.nn.functional.pad(digits_TP.to(k_TKH.dtype), (0, ALIBI_SIZE - len(_PARTS)))
        k_TKA = k_TA.unsqueeze(1).expand(-1, num_kv_heads, -1)
        return (
            torch.cat((q_TNH, self._q_NA.expand(num_tokens, -1, -1)), -1),
            torch.cat((k_TKH, k_TKA), -1),
            torch.nn.functional.pad(v_TKH, (0, ALIBI_SIZE)),
        )


def alibi_slopes(num_heads: int) -> Tensor:
    """The slope of each head, float32. For a power of two it is 2^(-8 n / heads), otherwise as in the authors' code.

    Source: Press et al. 2022, section 3, and their code for other numbers of heads.
    """
    closest = 2 ** math.floor(math.log2(num_heads))
    slopes = [2.0 ** (-8.0 * (n + 1) / closest) for n in range(closest)]
    rest = num_heads - closest
    slopes += [2.0 ** (-4.0 * (2 * n + 1) / closest) for n in range(rest)]
    return torch.tensor(slopes)
