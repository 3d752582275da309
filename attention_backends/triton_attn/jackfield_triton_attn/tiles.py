"""Which part of the work one program takes, by measurement on an H200 (benchmarks/results/gpu)."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield_torch.kernels.launch import next_power_of_two

_PROGRAMS = 264  # that keep the chip busy: two a multiprocessor of a Hopper chip
_MOST_SPLITS = 32  # of one row's context
_LEAST_TOKENS = 128  # of a split of the longest row


@dataclass(frozen=True, slots=True)
class Tiles:
    """Of one kernel: queries times heads, keys, warps and how many loads are in flight."""

    lines: int
    keys: int
    warps: int
    stages: int


def decode_tiles(group: int, head_bytes: int) -> Tiles:
    """For rows of one query; `head_bytes` of a padded head."""
    lines = max(16, next_power_of_two(group))
    return Tiles(lines, 32, 4, 1) if head_bytes > 512 else Tiles(lines, 64, 4, 3)


def prefill_tiles(group: int, head_bytes: int) -> Tiles:
    """For rows of several queries."""
    if head_bytes > 256:
        return Tiles(max(64, next_power_of_two(group)), 32, 4, 1)
    return Tiles(max(128, next_power_of_two(group)), 64, 8, 3)


def num_splits(num_rows: int, num_kv_heads: int, max_length: int) -> int:
    """Programs that share one row's context: enough to fill the chip, each with something to do in the longest row."""
    wanted = -(-_PROGRAMS // (num_rows * num_kv_heads))
    return next_power_of_two(max(1, min(wanted, _MOST_SPLITS, max_length // _LEAST_TOKENS)))
