"""The experts of few tokens: logits of a router in parts, so that many programs read its matrix, and the best of each token."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.interfaces.kernels import RouterFacts
from jackfield_torch.kernels.launch import begin, launch_options, next_power_of_two, wait_for_inputs

MOST_TOKENS = 256
_TOKENS, _EXPERTS, _COLUMNS = 16, 16, 256  # of a program
_STEP = 32  # columns of one of its products
_LEAST_SUM = 1e-20  # least sum of the weights of a token, by which they are divided


@triton.jit(do_not_specialize=["num_tokens"])
def _logits(
    x_ptr, weight_ptr, parts_ptr, num_tokens, num_experts, size, x_stride,
    TOKENS: tl.constexpr, EXPERTS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """The share of COLUMNS columns in the logits of TOKENS tokens and EXPERTS experts, in float32."""
    begin(DEPENDENT)
    expert = tl.program_id(0) * EXPERTS + tl.arange(0, EXPERTS)
    token = tl.program_id(1) * TOKENS + tl.arange(0, TOKENS)
    split = tl.program_id(2)
    column = tl.arange(0, STEP)
    is_expert, is_token = (expert < num_experts)[None, :], (token < num_tokens)[:, None]
    weights = weight_ptr + expert[None, :] * size + column[:, None]
    inputs = x_ptr + token.to(tl.int64)[:, None] * x_stride + column[None, :]
    part = tl.zeros([TOKENS, EXPERTS], tl.float32)
    wait_for_inputs(DEPENDENT)
    for start in tl.range(split * COLUMNS, (split + 1) * COLUMNS, STEP, num_stages=3):
        inside = start + column < size
        weight = tl.load(weights + start, mask=is_expert & inside[:, None], other=0.0)
        x = tl.load(inputs + start, mask=is_token & inside[None, :], other=0.0)
        part = tl.dot(x.to(tl.float32), weight, part, input_precision="ieee")
    target = (split * num_tokens + token)[:, None] * num_experts + expert[None, :]
    tl.store(
        parts_ptr + target,
        part,
        mask=(token < num_tokens)[:, None] & (expert < num_experts)[None, :],
    )


@triton.jit(do_not_specialize=["num_tokens"])
def _choose(
    parts_ptr, bias_ptr, choice_bias_ptr, expert_ptr, weight_ptr, num_tokens, num_experts, factor,
    TOP_K: tl.constexpr, PADDED_K: tl.constexpr, EXPERTS: tl.constexpr, PARTS: tl.constexpr, SIGMOID: tl.constexpr,
    RENORMALISE: tl.constexpr, BIAS: tl.constexpr, CHOICE_BIAS: tl.constexpr, LEAST_SUM: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """The best experts of one token, one after another; of equal ones the first."""
    begin(DEPENDENT)
    token = tl.program_id(0)
    expert = tl.arange(0, EXPERTS)
    exists = expert < num_experts
    logit = tl.zeros([EXPERTS], tl.float32)
    wait_for_inputs(DEPENDENT)
    for part in tl.static_range(PARTS):
        logit += tl.load(
            parts_ptr + (part * num_tokens + token) * num_experts + expert, mask=exists, other=0.0
        )
    if BIAS:
        logit += tl.load(bias_ptr + expert, mask=exists, other=0.0)
    if SIGMOID:
        score = 1.0 / (1.0 + tl.exp(-logit))
    else:
        logit = tl.where(exists, logit, float("-inf"))
        score = tl.exp(logit - tl.max(logit, 0))
        score = score / tl.sum(score, 0)
    ranked = score
    if CHOICE_BIAS:
        ranked += tl.load(choice_bias_ptr + expert, mask=exists, other=0.0)
    ranked = tl.where(exists, ranked, float("-inf"))
    place = tl.arange(0, PADDED_K)
    chosen = tl.zeros([PADDED_K], tl.int32)
    weights = tl.zeros([PADDED_K], tl.float32)
    for index in tl.static_range(TOP_K):
        best = tl.max(ranked, 0)
        # of numbers that are none the last expert is taken, so that nothing is read outside
        found = tl.min(tl.where(ranked == best, expert, num_experts - 1), 0)
        chosen = tl.where(place == index, found, chosen)
        weight = tl.sum(tl.where(expert == found, score, 0.0), 0)
        weights = tl.where(place == index, weight, weights)
        ranked = tl.where(expert == found, float("-inf"), ranked)
    if RENORMALISE:
        weights = weights / (tl.sum(weights, 0) + LEAST_SUM)
    tl.store(expert_ptr + token * TOP_K + place, chosen.to(tl.int64), mask=place < TOP_K)
    tl.store(weight_ptr + token * TOP_K + place, weights * factor, mask=place < TOP_K)


def route(facts: RouterFacts, x_TE: Tensor) -> tuple[Tensor, Tensor]:
    """expert_TK (int64) and weight_TK (float32) of at most MOST_TOKENS tokens."""
    num_tokens, size = x_TE.shape
    num_experts = len(facts.weight_XE)
    options = launch_options(x_TE.device)
    parts = triton.cdiv(size, _COLUMNS)
    parts_PTX = torch.empty(
        (parts, num_tokens, num_experts), dtype=torch.float32, device=x_TE.device
    )
    _logits[(triton.cdiv(num_experts, _EXPERTS), triton.cdiv(num_tokens, _TOKENS), parts)](
        x_TE, facts.weight_XE, parts_PTX, num_tokens, num_experts, size, x_TE.stride(0),
        TOKENS=_TOKENS, EXPERTS=_EXPERTS, COLUMNS=_COLUMNS, STEP=_STEP, num_warps=4, **options,
    )  # fmt: skip
    expert_TK = torch.empty((num_tokens, facts.top_k), dtype=torch.int64, device=x_TE.device)
    weight_TK = torch.empty((num_tokens, facts.top_k), dtype=torch.float32, device=x_TE.device)
    bias_X, choice_bias_X = facts.bias_X, facts.choice_bias_X
    _choose[(num_tokens,)](
        parts_PTX, parts_PTX if bias_X is None else bias_X, parts_PTX if choice_bias_X is None else choice_bias_X,
        expert_TK, weight_TK, num_tokens, num_experts, facts.factor,
        TOP_K=facts.top_k, PADDED_K=next_power_of_two(facts.top_k), EXPERTS=next_power_of_two(num_experts), PARTS=parts,
        SIGMOID=facts.is_sigmoid, RENORMALISE=facts.renormalise, BIAS=bias_X is not None,
        CHOICE_BIAS=choice_bias_X is not None, LEAST_SUM=_LEAST_SUM, num_warps=1 if num_experts <= 128 else 4, **options,
    )  # fmt: skip
    return expert_TK, weight_TK
