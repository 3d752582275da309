"""Chooses the experts of each token, and their weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import Router
from jackfield_torch.interfaces.kernels import Kernels, RouterFacts
from jackfield_torch.loader import WeightShard

Choice = tuple[Tensor, Tensor]  # expert_TK, int64, and weight_TK, float32
_BEST = {"max": 1, "top2": 2}  # number of experts whose scores make the score of a group
_LEAST_SUM = 1e-20  # least sum of the weights of a token, by which they are divided


class Routing:
    """A router with its weights, which every rank holds whole. Nothing waits for the device."""

    def __init__(
        self, router: Router, module: str, hidden_size: int, shard: WeightShard, kernels: Kernels
    ) -> None:
        num_experts = router.num_experts
        self._router = router
        self._weight_XE = shard.whole(f"{module}.router", "weight", (num_experts, hidden_size))
        self._bias_X = self._choice_bias_X = None
        if router.bias:
            self._bias_X = shard.whole(f"{module}.router", "bias", (num_experts,))
        if router.choice_bias:
            self._choice_bias_X = shard.whole(f"{module}.choice_bias", "", (num_experts,))
        self._choose = _rule(router, module)
        self._few = None if (facts := self._facts()) is None else kernels.router(facts)

    def __call__(self, x_TE: Tensor) -> Choice:
        """The experts of each token, and their weights."""
        if self._few is not None and len(x_TE) <= self._few[1]:
            return self._few[0](x_TE)
        logits_TX = F.linear(x_TE.float(), self._weight_XE, self._bias_X)
        expert_TK, weight_TK = self._choose(self._router, logits_TX, self._choice_bias_X)
        if self._router.scale != 1.0:
            weight_TK = weight_TK * self._router.scale
        return expert_TK, weight_TK

    def _facts(self) -> RouterFacts | None:
        """For a kernel of the device; None if no kernel knows the rule."""
        router = self._router
        if router.num_groups > 1 or router.scoring not in ("softmax", "sigmoid"):
            return None
        return RouterFacts(
            weight_XE=self._weight_XE,
            bias_X=self._bias_X,
            choice_bias_X=self._choice_bias_X,
            top_k=router.top_k,
            is_sigmoid=router.scoring == "sigmoid",
            renormalise=router.renormalise,
            factor=router.scale,
        )


def _rule(router: Router, module: str) -> Callable[[Router, Tensor, Tensor | None], Choice]:
    if router.scoring not in _RULES:
        raise UnsupportedModelError(
            f"{module} has a router of scoring {router.scoring!r}; allowed: {', '.join(_RULES)}"
        )
    size, rest = divmod(router.num_experts, router.num_groups)
    # Least number of experts in a group.
    least = _BEST[router.group_score] if router.num_groups > 1 else 1
    if rest or size < least or not router.top_k <= size * router.top_groups <= router.num_experts:
        raise UnsupportedModelError(
            f"{module} chooses {router.top_k} of {router.num_experts} experts in {router.top_groups} of "
            f"{router.num_groups} groups, which is impossible; check the config of the model"
        )
    return _RULES[router.scoring]


def _softmax(router: Router, logits_TX: Tensor, choice_bias_X: Tensor | None) -> Choice:
    if router.renormalise and router.num_groups == 1 and choice_bias_X is None:
        # A softmax over the chosen experts equals one over all experts, divided by their sum.

        top_TK, expert_TK = logits_TX.topk(router.top_k)
        return expert_TK, top_TK.softmax(-1)
    return _best(router, logits_TX.softmax(-1), choice_bias_X)


def _sigmoid(router: Router, logits_TX: Tensor, choice_bias_X: Tensor | None) -> Choice:
    return _best(router, logits_TX.sigmoid(), choice_bias_X)


def _best(router: Router, scores_TX: Tensor, choice_bias_X: Tensor | None) -> Choice:
    ranked_TX = scores_TX if choice_bias_X is None else scores_TX + choice_bias_X
    if router.num_groups > 1:
        ranked_TX = _of_best_groups(router, ranked_TX)
    weight_TK, expert_TK = ranked_TX.topk(router.top_k)
    if choice_bias_X is not None:
        weight_TK = scores_TX.gather(1, expert_TK)
    if router.renormalise:
        weight_TK = weight_TK / (weight_TK.sum(-1, keepdim=True) + _LEAST_SUM)
    return expert_TK, weight_TK


def _of_best_groups(router: Router, ranked_TX: Tensor) -> Tensor:
    """Set scores outside the best groups to minus infinity.

    DeepSeek-AI 2024. V2: the score of a group is its best one. V3: it is the sum of its two best.
    """
    ranked_TGX = ranked_TX.view(len(ranked_TX), router.num_groups, -1)
    group_TG = ranked_TGX.topk(_BEST[router.group_score], -1).values.sum(-1)
    is_out_TG = torch.ones_like(group_TG, dtype=torch.bool)
    is_out_TG.scatter_(1, group_TG.topk(router.top_groups).indices, False)
    return ranked_TGX.masked_fill(is_out_TG.unsqueeze(-1), float("-inf")).flatten(1)


def _sparse_mixer(router: Router, logits_TX: Tensor, choice_bias_X: Tensor | None) -> Choice:
    """Liu et al. 2024 (GRIN), section 2, without noise: each expert is weighted among those that are left and near."""
    experts, weights = [], []
    left_TX = logits_TX
    for _ in range(router.top_k):
        peak_T1, expert_T1 = left_TX.max(-1, keepdim=True)
        distance_TX = (peak_T1 - logits_TX) / torch.maximum(logits_TX.abs(), peak_T1)
        near_TX = left_TX.masked_fill(distance_TX > 2 * router.jitter, float("-inf"))
        weights.append(near_TX.softmax(-1).gather(1, expert_T1))
        experts.append(expert_T1)
        left_TX = left_TX.scatter(1, expert_T1, float("-inf"))
    return torch.cat(experts, 1), torch.cat(weights, 1)


_RULES: dict[str, Callable[[Router, Tensor, Tensor | None], Choice]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "sparse_mixer": _sparse_mixer,
}
