"""Sizes of tiles and numbers of splits, as measured to be the fastest on an H200 (benchmarks/results/gpu)."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield_torch.kernels.launch import next_power_of_two

# Rows times kv heads. Up to this number programs do not fill the chip, so each of them gets more warps.
_FEW_PROGRAMS = 256
_PROGRAMS = 512  # number of programs that keeps the chip busy
_MOST_SPLITS = 16  # largest number of splits of a row's context
_LEAST_TOKENS = 128  # smallest split of the longest row
_MOST_LATENT_SPLITS = 64
# Of programs, where contexts are split: each one's part takes memory (all together 78 MB for 128 heads on an H200).
_MOST_ROUNDS = 4
_USUAL_LENGTH = 4096  # tokens of a row
_START_TILES = 2  # what a program costs before its first tile and after its last, in tiles


@dataclass(frozen=True, slots=True)
class Tiles:
    """The sizes of one kernel's tile."""

    lines: int  # queries times heads
    keys: int
    warps: int
    stages: int  # loads in flight


# Of each of the two groups of warps that attend on Hopper; wgmma takes 64 lines.
HOPPER = Tiles(lines=64, keys=128, warps=4, stages=2)


def decode_tiles(group: int, head_bytes: int, num_programs: int) -> Tiles:
    """Tiles for rows with one query. `head_bytes`: size of a padded head; `num_programs`: rows times kv heads."""
    lines = max(16, next_power_of_two(group))
    if head_bytes > 512:
        return Tiles(lines, 32, 4, 1)
    return Tiles(lines, 64, 4, 2) if num_programs <= _FEW_PROGRAMS else Tiles(lines, 64, 2, 3)


def prefill_tiles(group: int, head_bytes: int, *, described: bool) -> Tiles:
    """Tiles for rows with several queries. `described`: the copy engine reads a tile of keys at once."""
    if head_bytes > 256:
        return Tiles(max(64, next_power_of_two(group)), 32, 4, 1)
    return Tiles(max(128 if described else 64, next_power_of_two(group)), 64, 4, 3)


def num_splits(num_rows: int, num_kv_heads: int, max_length: int) -> int:
    """Number of programs that share a row's context: enough to fill the chip, if the longest row has work for each."""
    wanted = -(-_PROGRAMS // (num_rows * num_kv_heads))
    return next_power_of_two(max(1, min(wanted, _MOST_SPLITS, max_length // _LEAST_TOKENS)))


def tiles_of_split(splits: int) -> int:
    """The smallest number of tiles that is worth a split. With two splits, adding the parts costs more than a few tiles."""
    return 1 if splits > 2 else 4


def is_ordered(num_rows: int, num_kv_heads: int) -> bool:
    """True if the longest rows should come first: if programs run one after another (9 % faster for 256 mixed rows)."""
    return num_rows * num_kv_heads >= _PROGRAMS


def latent_tiles(num_heads: int, itemsize: int, *, is_large: bool, single: bool) -> Tiles:
    """For a cache and queries of at most `itemsize` bytes a number. `is_large`: see `has_large_memory`.

    `single`: rows have one query, so the lines of a tile are its heads alone.
    """
    if itemsize > 2:
        return Tiles(16, 16, 4, 1)
    if not is_large:
        return Tiles(16, 32, 4, 1)
    if single and num_heads <= 16:
        return Tiles(16, 32, 4, 3)  # 73 % of the bandwidth at 64 rows of 4,000 tokens
    return Tiles(32, 32, 4, 3)


def latent_splits(num_programs: int, at_once: int, keys: int, max_length: int) -> int:
    """Programs that share a context: the least time by tiles of keys, if `at_once` programs run at the same time."""
    tiles = max(1, min(max_length, _USUAL_LENGTH) // keys)

    def time(splits: int) -> float:
        rounds = -(-num_programs * splits // at_once)
        return rounds * (-(-tiles // splits) + _START_TILES)

    most = max(1, _MOST_ROUNDS * at_once // num_programs)
    return min(range(1, min(tiles, most, _MOST_LATENT_SPLITS) + 1), key=time)
