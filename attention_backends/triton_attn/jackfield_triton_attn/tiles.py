"""Which part of the work one program takes, by measurement on an H200 (benchmarks/results/gpu)."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield_torch.kernels.launch import next_power_of_two

_FEW_PROGRAMS = (
    256  # rows times kv heads: up to here programs do not fill the chip, and each gets more warps
)
_PROGRAMS = 512  # that keep the chip busy
_MOST_SPLITS = 16  # of one row's context
_LEAST_TOKENS = 128  # of a split of the longest row


@dataclass(frozen=True, slots=True)
class Tiles:
    """Of one kernel: queries times heads, keys, warps and how many loads are in flight."""

    lines: int
    keys: int
    warps: int
    stages: int


def decode_tiles(group: int, head_bytes: int, num_programs: int) -> Tiles:
    """For rows of one query; `head_bytes` of a padded head, `num_programs` rows times kv heads."""
    lines = max(16, next_power_of_two(group))
    if head_bytes > 512:
        return Tiles(lines, 32, 4, 1)
    return Tiles(lines, 64, 4, 2) if num_programs <= _FEW_PROGRAMS else Tiles(lines, 64, 2, 3)


def prefill_tiles(group: int, head_bytes: int, *, described: bool) -> Tiles:
    """For rows of several queries; `described`: the copy engine brings a tile of keys at once."""
    if head_bytes > 256:
        return Tiles(max(64, next_power_of_two(group)), 32, 4, 1)
    return Tiles(max(128 if described else 64, next_power_of_two(group)), 64, 4, 3)


def num_splits(num_rows: int, num_kv_heads: int, max_length: int) -> int:
    """Programs that share one row's context: enough to fill the chip, each with something to do in the longest row."""
    wanted = -(-_PROGRAMS // (num_rows * num_kv_heads))
    return next_power_of_two(max(1, min(wanted, _MOST_SPLITS, max_length // _LEAST_TOKENS)))


def tiles_of_split(splits: int) -> int:
    """The least tiles that are worth a split: where rows fill half of the chip, adding up costs more than a few of them."""
    return 1 if splits > 2 else 4


def is_ordered(num_rows: int, num_kv_heads: int) -> bool:
    """Whether the longest rows come first: it pays where programs run one after another (9 % of 256 rows of mixed lengths)."""
    return num_rows * num_kv_heads >= _PROGRAMS
