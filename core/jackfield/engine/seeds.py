"""Seeds of requests: the user's, or a number that makes runs of one engine repeatable."""

from __future__ import annotations

import hashlib

_MASK = (1 << 63) - 1  # the largest seed that every runtime takes


def output_seed(seed: int, output_index: int) -> int:
    """The seed of the output with this index. The n outputs of one request have different seeds.

    The first output has the request's own seed, so that it equals the output of `n=1`.
    """
    if output_index == 0:
        return seed & _MASK
    digest = hashlib.blake2b(f"{seed}/{output_index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") & _MASK
