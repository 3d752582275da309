"""Seeds: what the user gave, else a number that makes runs of one engine repeatable."""

from __future__ import annotations

import hashlib

_MASK = (1 << 63) - 1  # what every runtime takes


def output_seed(seed: int, output_index: int) -> int:
    """The seed of the output with this index, so that n outputs of one request differ.

    The first has the request's own seed: it is the output that `n=1` gives.
    """
    if output_index == 0:
        return seed & _MASK
    digest = hashlib.blake2b(f"{seed}/{output_index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") & _MASK
