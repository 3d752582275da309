"""Greedy and random draws in one pass over the logits: chunks first, then one program for each row picks the token.

As in `jackfield_torch.sampling.draw`, the cumulative distribution is inverted in the order of token ids.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.kernels.launch import begin, launch_options, next_power_of_two, wait_for_inputs

_CHUNK = 2048  # tokens


@triton.jit
def _scan_chunks(
    logits_ptr, inverse_ptr, peaks_ptr, places_ptr, sums_ptr, logits_stride, inverse_stride, vocab_size,
    num_chunks, IS_RANDOM: tl.constexpr, CHUNK: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """The peak of a chunk, where it is, and the chunk's sum of weights relative to its peak."""
    begin(DEPENDENT)
    row, chunk = tl.program_id(1).to(tl.int64), tl.program_id(0)
    token = chunk * CHUNK + tl.arange(0, CHUNK)
    wait_for_inputs(DEPENDENT)
    logits = tl.load(
        logits_ptr + row * logits_stride + token, mask=token < vocab_size, other=float("-inf")
    )
    logits = logits.to(tl.float32)
    peak, place = tl.max(logits, 0, return_indices=True, return_indices_tie_break_left=True)
    has_nan = tl.max((logits != logits).to(tl.int32), 0)
    out = row * num_chunks + chunk
    tl.store(peaks_ptr + out, tl.where(has_nan > 0, float("nan"), peak))
    tl.store(places_ptr + out, chunk * CHUNK + place)
    if IS_RANDOM:
        inverse = tl.load(inverse_ptr + row * inverse_stride)
        safe_peak = tl.where(peak == float("-inf"), 0.0, peak)
        tl.store(sums_ptr + out, tl.sum(tl.exp((logits - safe_peak) * inverse), 0))


@triton.jit
def _mix(bits):
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
    return bits ^ (bits >> 31)


@triton.jit
def _uniform(seed, position):
    """A float64 in [0, 1): SplitMix64, as in `jackfield_torch.sampling.random_numbers`."""
    state = _mix(seed * 0x9E3779B97F4A7C15) + (position + 1).to(tl.uint64) * 0x9E3779B97F4A7C15
    return (_mix(state) >> 11).to(tl.float64) * 1.1102230246251565e-16


@triton.jit
def _pick(
    logits_ptr, inverse_ptr, seeds_ptr, positions_ptr, peaks_ptr, places_ptr, sums_ptr, drawn_ptr,
    logits_stride, inverse_stride, seeds_stride, vocab_size, num_chunks,
    IS_RANDOM: tl.constexpr, CHUNK: tl.constexpr, CHUNKS: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """The token of one row; -1 where its largest logit is not finite."""
    begin(DEPENDENT)
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, CHUNKS)
    wait_for_inputs(DEPENDENT)
    exists = lane < num_chunks
    peaks = tl.load(peaks_ptr + row * num_chunks + lane, mask=exists, other=float("-inf"))
    has_nan = tl.max((peaks != peaks).to(tl.int32), 0) > 0
    peak, best = tl.max(peaks, 0, return_indices=True, return_indices_tie_break_left=True)
    drawn = tl.load(places_ptr + row * num_chunks + best)
    is_valid = (peak > float("-inf")) & (peak < float("inf")) & (has_nan == 0)
    if IS_RANDOM:
        inverse = tl.load(inverse_ptr + row * inverse_stride)
        if is_valid & (inverse > 0.0):
            sums = tl.load(sums_ptr + row * num_chunks + lane, mask=exists, other=0.0).to(
                tl.float64
            )
            weights = tl.where(
                peaks > float("-inf"), sums * tl.exp((peaks - peak) * inverse).to(tl.float64), 0.0
            )
            ends = tl.cumsum(weights, 0)
            low = tl.load(seeds_ptr + row * seeds_stride).to(tl.uint32, bitcast=True).to(tl.uint64)
            high = (
                tl.load(seeds_ptr + row * seeds_stride + 1)
                .to(tl.uint32, bitcast=True)
                .to(tl.uint64)
            )
            target = _uniform(low | (high << 32), tl.load(positions_ptr + row)) * tl.sum(weights, 0)
            # rounding can lift the target to the total: then the last chunk with a weight is taken
            last = tl.max(tl.where(weights > 0.0, lane, 0), 0)
            chunk = tl.minimum(tl.min(tl.where(ends > target, lane, CHUNKS), 0), last)
            before = tl.sum(tl.where(lane < chunk, weights, 0.0), 0)
            place = tl.arange(0, CHUNK)
            token = chunk * CHUNK + place
            logits = tl.load(
                logits_ptr + row * logits_stride + token, mask=token < vocab_size, other=float("-inf")
            ).to(tl.float32)  # fmt: skip
            inner = tl.exp((logits - peak) * inverse)
            inner_ends = tl.cumsum(inner.to(tl.float64), 0)
            last_inner = tl.max(tl.where(inner > 0.0, place, 0), 0)
            found = tl.min(tl.where(inner_ends > target - before, place, CHUNK), 0)
            drawn = chunk * CHUNK + tl.minimum(found, last_inner)
    tl.store(drawn_ptr + row, tl.where(is_valid, drawn, -1).to(tl.int64))


def draw_tokens(
    logits_PV: Tensor,
    inverse_temperature_P: Tensor | None,
    seeds_P2: Tensor | None,
    num_outputs_P: Tensor | None,
) -> Tensor:
    """One token for each row, int64: the most likely one, or a random one if the inverse temperature is above 0.

    `seeds_P2`: the two int32 halves of each seed, the lower one first. The result is -1 if the largest logit is not
    finite or a logit is NaN. If logits are equal, the lowest id counts. Reads the logits once, and one more chunk for
    a random row.
    """
    num_rows, vocab_size = logits_PV.shape
    device = logits_PV.device
    num_chunks = triton.cdiv(vocab_size, _CHUNK)
    peaks, sums = torch.empty((2, num_rows, num_chunks), dtype=torch.float32, device=device)
    places = torch.empty((num_rows, num_chunks), dtype=torch.int32, device=device)
    drawn_P = torch.empty(num_rows, dtype=torch.int64, device=device)
    is_random = inverse_temperature_P is not None
    inverse = peaks if inverse_temperature_P is None else inverse_temperature_P
    seeds = places if seeds_P2 is None else seeds_P2
    options = launch_options(device)
    _scan_chunks[(num_chunks, num_rows)](
        logits_PV, inverse, peaks, places, sums, logits_PV.stride(0), inverse.stride(0), vocab_size, num_chunks,
        IS_RANDOM=is_random, CHUNK=_CHUNK, num_warps=4, **options,
    )  # fmt: skip
    _pick[(num_rows,)](
        logits_PV, inverse, seeds, places if num_outputs_P is None else num_outputs_P, peaks, places, sums, drawn_P,
        logits_PV.stride(0), inverse.stride(0), seeds.stride(0), vocab_size, num_chunks,
        IS_RANDOM=is_random, CHUNK=_CHUNK, CHUNKS=next_power_of_two(num_chunks), num_warps=4, **options,
    )  # fmt: skip
    return drawn_P
