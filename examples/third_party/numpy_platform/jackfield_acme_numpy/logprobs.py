"""Log probabilities as the core wants them: plain numbers."""

from __future__ import annotations

import numpy as np
from jackfield.step import TokenLogprobs

from jackfield_acme_numpy.arrays import Floats, Ints


def token_logprobs(logits_PV: Floats, token_ids_P: Ints, num_top: int) -> list[TokenLogprobs]:
    """One entry for each position: the token that stands there and the `num_top` most likely tokens.

    Equal tokens share the best rank.
    """
    peak_P1 = logits_PV.max(-1, keepdims=True)
    total_P1 = peak_P1 + np.log(np.exp(logits_PV - peak_P1).sum(-1, keepdims=True))
    own_P1 = np.take_along_axis(logits_PV, token_ids_P[:, None], -1)
    ranks_P = (logits_PV > own_P1).sum(-1) + 1
    top_PM = np.argsort(-logits_PV, axis=-1, kind="stable")[:, :num_top]
    top_logprobs_PM = np.take_along_axis(logits_PV, top_PM, -1) - total_P1
    columns = (
        token_ids_P.tolist(),
        (own_P1 - total_P1)[:, 0].tolist(),
        ranks_P.tolist(),
        map(tuple, top_PM.tolist()),
        map(tuple, top_logprobs_PM.tolist()),
    )
    return [TokenLogprobs(*entry) for entry in zip(*columns, strict=True)]
