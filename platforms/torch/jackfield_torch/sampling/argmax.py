"""The most likely token of each row, and its logit."""

from __future__ import annotations

import torch
from torch import Tensor


def argmax(logits_SV: Tensor) -> tuple[Tensor, Tensor]:
    """Index (int64) and value of the largest logit of each row. A row with a NaN yields NaN."""
    if logits_SV.device.type == "cpu":  # over 49k tokens numpy takes 3 us, torch 40
        index_S = torch.from_numpy(logits_SV.numpy().argmax(-1))
    else:
        index_S = logits_SV.argmax(-1)
    return index_S, logits_SV.gather(-1, index_S.unsqueeze(-1)).squeeze(-1)
