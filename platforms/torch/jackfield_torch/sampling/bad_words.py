"""Bad words of several tokens: if the output ends with all tokens of a word but the last, the last one is forbidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jackfield_torch.staging import upload

_NO_TOKEN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BadWordBatch:
    """B bad words of rows of logits. The tokens before the last one stand at the end of L columns."""

    places_B: Tensor  # int64, indices of rows of logits
    last_B: Tensor  # int64, the forbidden token
    before_BL: Tensor  # int32, -1 if the word is shorter


def lay_out_bad_words(
    words: Sequence[tuple[int, tuple[int, ...]]], device: torch.device
) -> BadWordBatch:
    """Words of at least two tokens, each with the index of its row of logits."""
    width = max(len(word) for _, word in words) - 1
    before_BL = np.full((len(words), width), _NO_TOKEN, np.int32)
    for index, (_, word) in enumerate(words):
        before_BL[index, width - len(word) + 1 :] = word[:-1]
    return BadWordBatch(
        places_B=upload(np.array([place for place, _ in words], np.int64), device),
        last_B=upload(np.array([word[-1] for _, word in words], np.int64), device),
        before_BL=upload(before_BL, device),
    )


def forbid_bad_words(
    logits_PV: Tensor,
    token_ids_RL: Tensor,
    rows_P: Tensor,
    num_prompt_P: Tensor,
    num_tokens_P: Tensor,
    batch: BadWordBatch,
) -> None:
    """Set the logits of tokens that complete a bad word to minus infinity, in place.

    A word must begin in the output, not in the prompt.

    `token_ids_RL` are the tokens of all rows. For each row of logits, `rows_P` is its row, `num_prompt_P` the length of
    the prompt and `num_tokens_P` (int64) the number of tokens.
    """
    places_B, width = batch.places_B, token_ids_RL.shape[1]
    back_L = torch.arange(batch.before_BL.shape[1], 0, -1, device=logits_PV.device)
    position_BL = num_tokens_P.index_select(0, places_B).unsqueeze(1) - back_L
    is_output_BL = position_BL >= num_prompt_P.index_select(0, places_B).unsqueeze(1)
    flat_BL = rows_P.index_select(0, places_B).unsqueeze(1) * width + position_BL.clamp_(min=0)
    held_BL = token_ids_RL.view(-1)[flat_BL]
    is_same_BL = (held_BL == batch.before_BL).logical_and_(is_output_BL)
    completes_B = is_same_BL.logical_or_(batch.before_BL == _NO_TOKEN).all(1)
    values_B = torch.where(completes_B, float("-inf"), 0.0)
    logits_PV.view(-1).index_add_(0, places_B * logits_PV.shape[1] + batch.last_B, values_B)
