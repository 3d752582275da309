"""Log probabilities of drawn tokens and of prompts, in the form of the core: plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from jackfield.step import TokenLogprobs
from jackfield_torch.staging import Slot


@dataclass(slots=True)
class LogprobTensors:
    """Log probabilities at P positions, on the device."""

    token_ids_P: Tensor
    logprobs_P: Tensor
    ranks_P: Tensor  # 1 is the most likely
    top_ids_PM: Tensor
    top_logprobs_PM: Tensor

    def read(self, slot: Slot) -> LogprobArrays:
        """Copy them to the host. They are there when the slot's event has passed."""
        return LogprobArrays(
            slot.read(self.token_ids_P),
            slot.read(self.logprobs_P),
            slot.read(self.ranks_P),
            slot.read(self.top_ids_PM),
            slot.read(self.top_logprobs_PM),
        )


@dataclass(slots=True)
class LogprobArrays:
    """The log probabilities on the host."""

    token_ids_P: NDArray[Any]
    logprobs_P: NDArray[Any]
    ranks_P: NDArray[Any]
    top_ids_PM: NDArray[Any]
    top_logprobs_PM: NDArray[Any]

    def entries(self, num_top_P: Sequence[int]) -> list[TokenLogprobs]:
        """One TokenLogprobs for each position, with the number of most likely tokens that was asked for at this
        position.
        """
        columns = zip(
            self.token_ids_P.tolist(),
            self.logprobs_P.tolist(),
            self.ranks_P.tolist(),
            self.top_ids_PM.tolist(),
            self.top_logprobs_PM.tolist(),
            num_top_P,
            strict=False,  # after the positions in `num_top_P` there may be padding
        )
        return [
            TokenLogprobs(token_id, logprob, rank, tuple(ids[:num_top]), tuple(values[:num_top]))
            for token_id, logprob, rank, ids, values, num_top in columns
        ]


def compute_logprobs(logits_PV: Tensor, token_ids_P: Tensor, num_top: int) -> LogprobTensors:
    """Log softmax (float32) of these logits at the given tokens and at the `num_top` most likely ones.

    The rank counts the tokens that are strictly more likely, so equally likely tokens share the best rank. A negative
    token means token 0.
    """
    logits_PV = logits_PV.float()
    total_P1 = logits_PV.logsumexp(-1, keepdim=True)
    own_P1 = logits_PV.gather(-1, token_ids_P.long().clamp(min=0).unsqueeze(-1))
    ranks_P = (logits_PV > own_P1).sum(-1) + 1
    top_PM, top_ids_PM = logits_PV.topk(min(num_top, logits_PV.shape[-1]), dim=-1)
    return LogprobTensors(
        token_ids_P, (own_P1 - total_P1).squeeze(-1), ranks_P, top_ids_PM, top_PM - total_P1
    )
