"""Experts whose weights are one tensor. On asynchronous devices the choice of experts stays on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_torch.interfaces.kernels import FewExperts
from jackfield_torch.interfaces.linear import ExpertLinear, ExpertRows, LinearShard, PlainExperts
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.layers.compose import TensorFunction
from jackfield_torch.layers.linear import read_share


class GroupedMatmul(Protocol):
    """See jackfield_torch.kernels.experts.grouped_matmul. `matmul_each` is the same for processors."""

    def __call__(
        self,
        x_SI: Tensor,
        weight_XOI: Tensor,
        bias_XO: Tensor | None,
        expert_S: Tensor,
        ends_X1: Tensor | None,
        /,
    ) -> Tensor:
        """Returns y_SO."""


def matmul_each(
    x_SI: Tensor,
    weight_XOI: Tensor,
    bias_XO: Tensor | None,
    expert_S: Tensor,
    ends_X1: Tensor | None,
) -> Tensor:
    """One product for each expert that has rows, on the host; see GroupedMatmul."""
    num_experts, num_outputs, _ = weight_XOI.shape
    y_SO = x_SI.new_zeros((len(x_SI), num_outputs))
    if ends_X1 is None:
        experts = expert_S.tolist()
        bounds = list(range(len(experts) + 1))
    else:
        experts, bounds = list(range(num_experts)), ends_X1.tolist()
    for expert, start, stop in zip(experts, bounds, bounds[1:], strict=False):
        if start < stop and 0 <= expert < num_experts:
            bias_O = None if bias_XO is None else bias_XO[expert]
            y_SO[start:stop] = F.linear(x_SI[start:stop], weight_XOI[expert], bias_O)
    return y_SO


class StackedLinear(ExpertLinear):
    """Plain weights of all experts in one tensor."""

    def __init__(
        self, experts: Sequence[Sequence[LinearPart]], shard: LinearShard, matmul: GroupedMatmul
    ) -> None:
        self._matmul = matmul
        self._weight_XOI = _stack(experts, "weight", shard)
        first = experts[0][0]
        has_bias = first.bias and not (first.split == "row" and shard.rank > 0)
        self._bias_XO = _stack(experts, "bias", shard) if has_bias else None

    def __call__(self, x_SI: Tensor, rows: ExpertRows) -> Tensor:
        return self._matmul(x_SI, self._weight_XOI, self._bias_XO, rows.expert_S, rows.ends_X1)

    def plain(self) -> PlainExperts:
        """See ExpertLinear."""
        return PlainExperts(self._weight_XOI, self._bias_XO)


def _stack(experts: Sequence[Sequence[LinearPart]], parameter: str, shard: LinearShard) -> Tensor:
    """[experts, ...]. Each expert is converted at its final place, one after the other."""
    stacked: Tensor | None = None
    for index, parts in enumerate(experts):
        pieces = [read_share(part, parameter, shard) for part in parts]
        if stacked is None:
            shape = (len(experts), sum(map(len, pieces)), *pieces[0].shape[1:])
            stacked = torch.empty(shape, dtype=shard.dtype, device=shard.device)
        torch.cat([piece.to(shard.device, shard.dtype) for piece in pieces], out=stacked[index])
    assert stacked is not None
    return stacked


class StackedExperts:
    """Sorts rows by expert on the device. The rows of a single token are not sorted. Few tokens may have a kernel."""

    def __init__(
        self,
        held: range,
        num_experts: int,
        into: ExpertLinear,
        between: TensorFunction,
        out: ExpertLinear,
        few: FewExperts | None = None,
    ) -> None:
        self._few = few
        self._first, self._num_held = held.start, len(held)
        self._holds_all = len(held) == num_experts
        self._into, self._between, self._out = into, between, out

    def __call__(self, x_TE: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """The weighted sum of the experts of each token."""
        if self._few is not None and expert_TK.numel() <= self._few.most_choices:
            return self._few(x_TE, expert_TK, weight_TK)
        num_tokens, top_k = expert_TK.shape
        local_S = (expert_TK - self._first).view(-1) if self._first else expert_TK.view(-1)
        if num_tokens == 1:
            y_SE = self._run(x_TE.expand(top_k, -1), ExpertRows(local_S, None))
        else:
            sorted_S, choice_S = local_S.sort()
            edges_X1 = torch.arange(self._num_held + 1, device=local_S.device)
            rows = ExpertRows(sorted_S, torch.searchsorted(sorted_S, edges_X1))
            y_SE = self._run(x_TE.index_select(0, choice_S // top_k), rows)
            if not self._holds_all:
                is_held_S = (sorted_S >= 0) & (sorted_S < self._num_held)
                y_SE = torch.where(is_held_S.unsqueeze(1), y_SE, 0.0)
            y_SE = torch.empty_like(y_SE).index_copy_(0, choice_S, y_SE)
        weight_T1K = weight_TK.to(y_SE.dtype).unsqueeze(1)
        return torch.bmm(weight_T1K, y_SE.view(num_tokens, top_k, -1)).squeeze(1)

    def _run(self, x_SE: Tensor, rows: ExpertRows) -> Tensor:
        return self._out(self._between(self._into(x_SE, rows)), rows)
