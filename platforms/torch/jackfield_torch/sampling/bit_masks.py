"""Bit masks of tokens: those of grammars, as in `TokenMasks`, and those of a request's list of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jackfield_torch.staging import upload

_WORD = 32  # bits


@dataclass(slots=True)
class MaskTensors:
    """Masks of some rows of logits."""

    places_M: Tensor  # int64, rows of logits
    words_MW: Tensor  # int32, bit i % 32 of word i // 32 is set if token i is allowed


def pack_mask(token_ids: Sequence[int], vocab_size: int) -> bytes:
    """The mask of a list of tokens."""
    bits = np.zeros(-(-vocab_size // _WORD) * _WORD, bool)
    bits[np.array(token_ids, np.int64)] = True
    return np.packbits(bits, bitorder="little").tobytes()


def upload_masks(
    places: Sequence[int], bits: bytes | bytearray, device: torch.device
) -> MaskTensors:
    """Masks one after the other, one for each of `places`. Their bits must not be changed afterwards."""
    words = np.frombuffer(bits, np.int32).reshape(len(places), -1)
    return MaskTensors(upload(np.array(places, np.int64), device), upload(words.copy(), device))


def forbid_unset(logits_PV: Tensor, masks: MaskTensors) -> None:
    """Set the logits of all tokens with an unset bit to minus infinity, in place."""
    bit_32 = torch.arange(_WORD, dtype=torch.int32, device=logits_PV.device)
    is_unset_MWB = (masks.words_MW.unsqueeze(-1) >> bit_32).bitwise_and_(1).eq_(0)
    is_unset_MV = is_unset_MWB.view(len(masks.places_M), -1)[:, : logits_PV.shape[1]].bool()
    masked_MV = logits_PV.index_select(0, masks.places_M)
    logits_PV.index_copy_(0, masks.places_M, masked_MV.masked_fill_(is_unset_MV, float("-inf")))
