"""The experts of a step with few tokens, in four launches: an order of choices, two products, and a sum.

The time is that of reading the weights of chosen experts. So the gate is part of the first product, which gathers its rows
itself, and the second one stores its rows where their tokens stand. A choice is one expert of one token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.chip import has_large_memory
from jackfield_torch.interfaces.kernels import ExpertFacts, FewExperts
from jackfield_torch.kernels.activation import activate
from jackfield_torch.kernels.launch import begin, launch_options, next_power_of_two, wait_for_inputs

_MOST_CHOICES = 2048
_ONE_TOKEN = 16  # choices, at the most
_CHUNK = 32  # choices that one program puts in order
_SUMMED = 1024  # elements of a token that one program adds up


@dataclass(frozen=True, slots=True)
class ExpertTile:
    """Shape of one program: outputs, columns of a step, warps, and steps in flight."""

    outputs: int
    columns: int
    warps: int = 4
    stages: int = 3


@triton.jit(do_not_specialize=["num_choices", "num_tiles"])
def _arrange(
    expert_ptr, order_ptr, tiles_ptr, num_choices, num_tiles, first_expert, num_experts,
    CHOICES: tl.constexpr, EXPERTS: tl.constexpr, ROWS: tl.constexpr, TILES: tl.constexpr, CHUNK: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """Program 0 deals out tiles: (expert, first place, end) of each. The others find the places of CHUNK choices.

    Choices of experts that are not held come last, and no tile has them.
    """
    begin(DEPENDENT)
    program = tl.program_id(0)
    each = tl.arange(0, EXPERTS)
    wait_for_inputs(DEPENDENT)
    if program == 0:
        counts = tl.zeros([EXPERTS], tl.int32)
        for start in range(0, num_choices, CHUNK):
            choice = start + tl.arange(0, CHUNK)
            expert = tl.load(expert_ptr + choice, mask=choice < num_choices, other=-1)
            expert = expert.to(tl.int32) - first_expert
            is_held = (expert >= 0) & (expert < num_experts) & (choice < num_choices)
            expert = tl.where(is_held, expert, -1)
            counts += tl.sum((expert[None, :] == each[:, None]).to(tl.int32), 1)
        ends = tl.cumsum(counts, 0)
        tiles = (counts + ROWS - 1) // ROWS
        tile_ends = tl.cumsum(tiles, 0)
        tile_starts = tile_ends - tiles
        tile = tl.arange(0, TILES)
        nobody = tl.full([TILES], -1, tl.int32)
        unused = (tile >= tl.sum(tiles, 0)) & (tile < num_tiles)
        tl.store(tiles_ptr + tile * 3, nobody, mask=unused)
        for index in range(tl.max(tiles, 0)):
            place = tiles_ptr + (tile_starts + index) * 3
            first = ends - counts + index * ROWS
            has_tile = index < tiles
            tl.store(place, each, mask=has_tile)
            tl.store(place + 1, first, mask=has_tile)
            tl.store(place + 2, tl.minimum(first + ROWS, ends), mask=has_tile)
    else:
        choice = (program - 1) * CHUNK + tl.arange(0, CHUNK)
        other = tl.arange(0, CHOICES)
        mine = tl.load(expert_ptr + choice, mask=choice < num_choices, other=0)
        theirs = tl.load(expert_ptr + other, mask=other < num_choices, other=0)
        mine, theirs = mine.to(tl.int32) - first_expert, theirs.to(tl.int32) - first_expert
        mine = tl.where((mine >= 0) & (mine < num_experts), mine, num_experts)[:, None]
        theirs = tl.where((theirs >= 0) & (theirs < num_experts), theirs, num_experts)[None, :]
        is_before = (theirs < mine) | ((theirs == mine) & (other[None, :] < choice[:, None]))
        is_before = is_before & (other < num_choices)[None, :]
        place = tl.sum(is_before.to(tl.int32), 1)
        tl.store(order_ptr + place, choice, mask=choice < num_choices)


@triton.jit
def _product(
    x_ptr, weight_ptr, bias_ptr, y_ptr, expert_ptr, order_ptr, tiles_ptr, first_expert, num_experts, top_k,
    size, num_outputs, x_stride, y_stride,
    SINGLE: tl.constexpr, GATHER: tl.constexpr, ACTIVATION: tl.constexpr, BIAS: tl.constexpr, EVEN: tl.constexpr,
    ROWS: tl.constexpr, OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr, PRECISION: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """OUTPUTS outputs of the rows of one tile. GATHER: rows are tokens, in order of experts; else they go back to their
    choices. With an activation, num_outputs rows of a gate are followed by as many of up."""
    begin(DEPENDENT)
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    tile = tl.program_id(1)
    wait_for_inputs(DEPENDENT)
    if SINGLE:  # every choice of the one token is a tile
        expert = tl.load(expert_ptr + tile).to(tl.int32) - first_expert
        first, stop = tile, tile + 1
    else:
        expert = tl.load(tiles_ptr + tile * 3)
        first = tl.load(tiles_ptr + tile * 3 + 1)
        stop = tl.load(tiles_ptr + tile * 3 + 2)
    if (expert < 0) | (expert >= num_experts):
        return
    place = first + tl.arange(0, ROWS)
    is_row = place < stop
    choice = place
    if not SINGLE:
        choice = tl.load(order_ptr + place, mask=is_row, other=0)
    source, target = place, choice
    if GATHER:
        source, target = choice // top_k, place
    column = tl.arange(0, COLUMNS)
    # what stands outside is read too, of the last output, and never stored
    safe = tl.minimum(output, num_outputs - 1).to(tl.int64)
    of_expert = weight_ptr + expert.to(tl.int64) * size * num_outputs * (
        2 if ACTIVATION != "" else 1
    )
    weights = of_expert + safe[None, :] * size + column[:, None]
    inputs = x_ptr + source.to(tl.int64)[:, None] * x_stride + column[None, :]
    total = tl.zeros([ROWS, OUTPUTS], tl.float32)
    up_total = total
    for start in tl.range(0, size, COLUMNS, num_stages=STAGES):
        if EVEN:
            x = tl.load(inputs + start, mask=is_row[:, None], other=0.0)
            weight = tl.load(weights + start)
        else:
            inside = start + column < size
            x = tl.load(inputs + start, mask=is_row[:, None] & inside[None, :], other=0.0)
            weight = tl.load(weights + start, mask=inside[:, None], other=0.0)
        total = tl.dot(x, weight, total, input_precision=PRECISION)
        if ACTIVATION != "":
            ups = weights + num_outputs.to(tl.int64) * size
            if EVEN:
                up = tl.load(ups + start)
            else:
                up = tl.load(ups + start, mask=inside[:, None], other=0.0)
            up_total = tl.dot(x, up, up_total, input_precision=PRECISION)
    if BIAS:
        biases = bias_ptr + expert * num_outputs * (2 if ACTIVATION != "" else 1) + safe
        total += tl.load(biases).to(tl.float32)[None, :]
        if ACTIVATION != "":
            up_total += tl.load(biases + num_outputs).to(tl.float32)[None, :]
    if ACTIVATION != "":
        total = activate(total, ACTIVATION) * up_total
    is_output = is_row[:, None] & (output < num_outputs)[None, :]
    targets = y_ptr + target.to(tl.int64)[:, None] * y_stride + output[None, :]
    tl.store(targets, total.to(y_ptr.dtype.element_ty), mask=is_output)


@triton.jit
def _add_up(
    y_ptr, expert_ptr, weight_ptr, o_ptr, first_expert, num_experts, size, o_stride,
    TOP_K: tl.constexpr, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """The weighted sum of one token's choices whose experts are held."""
    begin(DEPENDENT)
    token = tl.program_id(0).to(tl.int64)
    element = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    wait_for_inputs(DEPENDENT)
    for index in tl.static_range(TOP_K):
        choice = token * TOP_K + index
        expert = tl.load(expert_ptr + choice).to(tl.int32) - first_expert
        is_read = (element < size) & (expert >= 0) & (expert < num_experts)
        y = tl.load(y_ptr + choice * size + element, mask=is_read, other=0.0)
        total += y.to(tl.float32) * tl.load(weight_ptr + choice)
    tl.store(
        o_ptr + token * o_stride + element, total.to(o_ptr.dtype.element_ty), mask=element < size
    )


class FewChoices(FewExperts):
    """Stacked plain weights, with or without a bias."""

    most_choices = _MOST_CHOICES

    def __init__(self, facts: ExpertFacts) -> None:
        self._facts = facts
        self._num_experts = len(facts.into_XOI)

    def __call__(self, x_TE: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """See FewExperts."""
        facts = self._facts
        expert_TK, weight_TK = expert_TK.contiguous(), weight_TK.contiguous()
        num_tokens, top_k = expert_TK.shape
        num_choices, size = num_tokens * top_k, x_TE.shape[1]
        rows = _rows(num_tokens)
        # Of one token each choice is a tile, also those of experts that are not held.
        num_tiles = num_choices
        if num_tokens > 1:
            num_tiles = min(num_choices, self._num_experts + num_choices // rows)
        options = launch_options(x_TE.device)
        order_S = tiles_N3 = expert_TK
        if num_tokens > 1:
            empty: dict[str, Any] = {"dtype": torch.int32, "device": x_TE.device}
            order_S = torch.empty(num_choices, **empty)
            tiles_N3 = torch.empty((num_tiles, 3), **empty)
            _arrange[(1 + triton.cdiv(num_choices, _CHUNK),)](
                expert_TK, order_S, tiles_N3, num_choices, num_tiles, facts.first, self._num_experts,
                CHOICES=max(_CHUNK, next_power_of_two(num_choices)), EXPERTS=next_power_of_two(self._num_experts),
                ROWS=rows, TILES=next_power_of_two(num_tiles), CHUNK=_CHUNK, num_warps=4 if num_choices <= 512 else 8, **options,
            )  # fmt: skip
        between = facts.out_XOI.shape[2]
        h_SF = x_TE.new_empty((num_choices, between))
        y_SE = x_TE.new_empty((num_choices, size))
        o_TE = x_TE.new_empty((num_tokens, size))
        shared = (expert_TK, order_S, tiles_N3, facts.first, self._num_experts, top_k)
        precision = "ieee" if x_TE.dtype == torch.float32 else "tf32"
        for x, weight, bias, y, activation in (
            (x_TE, facts.into_XOI, facts.into_bias_XO, h_SF, facts.activation),
            (h_SF, facts.out_XOI, facts.out_bias_XO, y_SE, ""),
        ):
            tile = expert_tile(
                num_choices, weight.itemsize, gated=bool(activation), is_large=has_large_memory(x_TE.device)
            )  # fmt: skip
            depth, outputs = weight.shape[2], y.shape[1]
            _product[(triton.cdiv(outputs, tile.outputs), num_tiles)](
                x, weight, weight if bias is None else bias, y, *shared,
                depth, outputs, x.stride(0), y.stride(0),
                SINGLE=num_tokens == 1, GATHER=x is x_TE, ACTIVATION=activation, BIAS=bias is not None,
                EVEN=depth % tile.columns == 0, ROWS=rows, OUTPUTS=tile.outputs, COLUMNS=tile.columns,
                STAGES=tile.stages, PRECISION=precision, num_warps=tile.warps, **options,
            )  # fmt: skip
        _add_up[(num_tokens, triton.cdiv(size, _SUMMED))](
            y_SE, expert_TK, weight_TK, o_TE, facts.first, self._num_experts, size, o_TE.stride(0),
            TOP_K=top_k, BLOCK=min(_SUMMED, next_power_of_two(size)), num_warps=4, **options,
        )  # fmt: skip
        return o_TE


def _rows(num_tokens: int) -> int:
    """Rows of a tile: an expert has at most one of each token, and most experts have few."""
    return 16 if num_tokens <= 16 else 32 if num_tokens <= 128 else 64


def expert_tile(num_choices: int, itemsize: int, *, gated: bool, is_large: bool) -> ExpertTile:
    """By measurement on an H200 (docs/performance-gpu.md). `is_large`: see `has_large_memory`."""
    if itemsize > 2:
        return ExpertTile(32, 32, 4, 2)
    if not is_large:
        return ExpertTile(32, 64, 4, 2)
    if num_choices <= _ONE_TOKEN and gated:
        return ExpertTile(32, 256, 4, 3)
    return ExpertTile(64, 128, 4, 3)
