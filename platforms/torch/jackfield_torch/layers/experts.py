"""Runs a mixture of experts: sorts tokens by expert, runs each expert once, and adds the weighted results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.layers.attention import StepInputs
from jackfield_torch.layers.compose import TensorFunction
from jackfield_torch.layers.routing import Routing

# Maps x_TE, expert_TK and weight_TK to the weighted sum of the experts of each token.
ChosenExperts = Callable[[Tensor, Tensor, Tensor], Tensor]


class ExpertBranch:
    """Router, experts, and the shared experts that see every token."""

    def __init__(
        self, routing: Routing, experts: ChosenExperts, shared: TensorFunction | None
    ) -> None:
        self._routing, self._experts, self._shared = routing, experts, shared

    def __call__(self, x_TE: Tensor, step: StepInputs) -> Tensor:
        """This rank's share of the sum."""
        y_TE = self._experts(x_TE, *self._routing(x_TE))
        return y_TE if self._shared is None else y_TE.add_(self._shared(x_TE))


class SharedExpert:
    """A shared expert whose output is multiplied by a sigmoid of the token (Qwen Team 2024)."""

    def __init__(self, function: TensorFunction, gate_1E: Tensor) -> None:
        self._function, self._gate_1E = function, gate_1E  # the gate is float32

    def __call__(self, x_TE: Tensor) -> Tensor:
        gate_T1 = F.linear(x_TE.float(), self._gate_1E).sigmoid()
        return self._function(x_TE).mul_(gate_T1)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The choices of a step that this rank serves, sorted by expert."""

    choice_S: Tensor | None  # int64, the index of each choice among T * K; None: they are in order
    experts: list[int]  # experts with rows, counted from the first one of this rank
    bounds: list[int]  # where the rows of each expert begin, and the end


class ScaledInputs:
    """Experts whose input is a token times its weight, so that their outputs are only added (Llama 4)."""

    def __init__(self, experts: ChosenExperts) -> None:
        self._experts = experts

    def __call__(self, x_TE: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """The sum of the experts of each token. Every choice is run as a token of its own."""
        x_SE = (x_TE.unsqueeze(1) * weight_TK.to(x_TE.dtype).unsqueeze(2)).flatten(0, 1)
        expert_S1 = expert_TK.reshape(-1, 1)
        y_SE = self._experts(x_SE, expert_S1, torch.ones_like(weight_TK).view(-1, 1))
        return y_SE.view(*expert_TK.shape, -1).sum(1)


class SeparateExperts:
    """Each expert is a pair of linears of its own, of any scheme. Experts that no token chose are not run.

    On the host each expert runs over its own tokens. An asynchronous device must not be asked how many these are: there
    each expert runs over all tokens, and most results are weighted with zero.
    """

    def __init__(
        self,
        held: range,  # experts of this rank
        num_experts: int,  # of all ranks
        into: Sequence[Linear],  # for each expert: gate and up side by side
        between: TensorFunction,
        out: Sequence[Linear],
    ) -> None:
        self._first, self._num_held = held.start, len(held)
        self._holds_all = len(held) == num_experts
        self._into, self._between, self._out = tuple(into), between, tuple(out)

    def __call__(self, x_TE: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """The weighted sum of the experts of each token."""
        if x_TE.device.type != "cpu":
            return self._all(x_TE, expert_TK, weight_TK)
        num_tokens, top_k = expert_TK.shape
        rows = self._rows(expert_TK)
        if not rows.experts:
            return torch.zeros_like(x_TE)
        if rows.choice_S is None:
            y_SE = self._run(x_TE.expand(top_k, -1), rows)
        else:
            y_SE = self._back(self._run(x_TE[rows.choice_S // top_k], rows), rows, expert_TK)
        weights_T1K = weight_TK.to(y_SE.dtype).unsqueeze(1)
        return torch.bmm(weights_T1K, y_SE.view(num_tokens, top_k, -1)).squeeze(1)

    def _all(self, x_TE: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        y_TE = torch.zeros_like(x_TE)
        for number, (into, out) in enumerate(zip(self._into, self._out, strict=True), self._first):
            weight_T1 = (weight_TK * (expert_TK == number)).sum(1, keepdim=True)
            y_TE.addcmul_(out(self._between(into(x_TE))), weight_T1.to(x_TE.dtype))
        return y_TE

    def _run(self, x_SE: Tensor, rows: _Rows) -> Tensor:
        places = list(zip(rows.experts, rows.bounds, rows.bounds[1:], strict=False))
        into = [self._into[expert](x_SE[start:stop]) for expert, start, stop in places]
        x_SF = self._between(torch.cat(into))
        return torch.cat([self._out[expert](x_SF[start:stop]) for expert, start, stop in places])

    def _rows(self, expert_TK: Tensor) -> _Rows:
        if len(expert_TK) == 1 and self._holds_all:
            experts = expert_TK[0].tolist()
            return _Rows(None, experts, list(range(len(experts) + 1)))
        local_S, choice_S = (expert_TK.view(-1) - self._first).sort(stable=True)
        edges = torch.arange(self._num_held + 1, device=local_S.device)
        bounds: list[int] = torch.searchsorted(local_S, edges).tolist()
        experts = [e for e in range(self._num_held) if bounds[e] < bounds[e + 1]]
        first, last = bounds[0], bounds[-1]
        starts = [bounds[e] - first for e in experts]
        return _Rows(choice_S[first:last], experts, [*starts, last - first])

    def _back(self, y_SE: Tensor, rows: _Rows, expert_TK: Tensor) -> Tensor:
        """Results in the order of the choices; zero for choices that another rank serves."""
        choice_S, count = rows.choice_S, expert_TK.numel()
        whole = y_SE.new_empty if len(y_SE) == count else y_SE.new_zeros
        assert choice_S is not None
        return whole((count, y_SE.shape[1])).index_copy_(0, choice_S, y_SE)
