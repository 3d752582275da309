"""Computes the reference model from tokens alone: the values that a correct cache must hold.

The value of a token mixes the token, its position and every value that the position sees in each cache group, as the
keys and values of a deep transformer do. So a wrong value anywhere in sight changes all later values. Hashes of
tuples of ints are the same in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jackfield.cache import CacheGroup

_MASK = (1 << 60) - 1  # values are never negative, so a negative slot can be told apart


def mix(*values: int) -> int:
    """A number of 60 bits that depends on all `values` and their order."""
    return hash(values) & _MASK


def digest(values: Sequence[int]) -> int:
    """A number that depends on all visible `values` of one cache group."""
    return hash(tuple(values))


def first_visible(group: CacheGroup, position: int) -> int:
    """The first position that a query at `position` sees in `group`."""
    if group.chunk_size is not None:
        return position // group.chunk_size * group.chunk_size
    return 0 if group.window is None else max(0, position - group.window + 1)


class History:
    """The values of one token sequence in every cache group, computed without blocks."""

    def __init__(self, groups: Sequence[CacheGroup], token_ids: Iterable[int] = ()) -> None:
        self.groups = tuple(groups)
        self.values: tuple[list[int], ...] = tuple([] for _ in groups)
        for token_id in token_ids:
            self.append(token_id)

    def __len__(self) -> int:
        return len(self.values[0])

    def append(self, token_id: int) -> None:
        """Compute the token at the next position."""
        position = len(self)
        value = mix(token_id, position, *self._digests(position))
        for group, values in zip(self.groups, self.values, strict=True):
            values.append(value ^ group.index)

    def forget(self, num_tokens: int) -> None:
        """Keep only the first `num_tokens`."""
        for values in self.values:
            del values[num_tokens:]

    def state(self) -> int:
        """The state after the last position. The next token is drawn from it."""
        return mix(*self._digests(len(self) - 1))

    def _digests(self, position: int) -> list[int]:
        return [
            digest(values[first_visible(group, position) :])
            for group, values in zip(self.groups, self.values, strict=True)
        ]
