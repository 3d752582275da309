"""Late bit masks: which tokens a grammar allows, as a `TokenMasks` carries them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_FORBIDDEN = float("-inf")


def forbid_unset(logits_V: Tensor, mask: memoryview) -> None:
    """Set the logits of all tokens whose bit is not set to minus infinity, in place."""
    bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little", count=len(logits_V))
    logits_V.masked_fill_(torch.from_numpy(bits == 0).to(logits_V.device), _FORBIDDEN)


def forbid(logits_V: Tensor, token_ids: Tensor) -> None:
    """Set the logits of these tokens to minus infinity, in place."""
    logits_V.index_fill_(0, token_ids, _FORBIDDEN)
