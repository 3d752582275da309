"""The speculator `ngram`: it guesses the tokens that followed the last tokens earlier in the same request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from jackfield.config import EngineConfig
from jackfield.config.options import read_options
from jackfield.errors import ConfigError
from jackfield.interfaces.speculator import Drafter, Speculator


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramOptions:
    """`[options.ngram]`."""

    max_match: int = 3  # length of the first n-gram that is searched for, in tokens
    min_match: int = 2  # least length; 1 finds more guesses, and more wrong ones

    def __post_init__(self) -> None:
        if not 1 <= self.min_match <= self.max_match:
            raise ConfigError(
                "options.ngram: min_match must be from 1 to max_match, got "
                f"min_match = {self.min_match} and max_match = {self.max_match}"
            )


class NgramSpeculator(Speculator):
    """Prompt lookup decoding. It needs no second model, and helps if an answer repeats its prompt or itself.

    Source: Saxena 2023, "Prompt Lookup Decoding"; the same idea is in Yang et al. 2023, "Inference with Reference".
    """

    options: ClassVar[type | None] = NgramOptions

    def create(self, config: EngineConfig) -> Callable[[], Drafter]:
        """Drafters with the options of `config`."""
        options = read_options(NgramOptions, "ngram", config)
        return partial(NgramDrafter, options.max_match, options.min_match)


class NgramDrafter(Drafter):
    """Remembers the last end of each n-gram of the text. A token costs one entry for each length of n-gram."""

    __slots__ = ("_ends", "_lengths", "_num_read")

    def __init__(self, max_match: int, min_match: int) -> None:
        self._lengths = range(max_match, min_match - 1, -1)
        # For each length and n-gram: the position after its last occurrence that is followed by a token.
        self._ends: list[dict[tuple[int, ...], int]] = [{} for _ in self._lengths]
        self._num_read = 1  # n-grams that end before this position are known

    def propose(self, token_ids: Sequence[int], num_unknown: int, num_tokens: int) -> Sequence[int]:
        """The tokens behind the last occurrence of the longest n-gram that the text ends with.

        If the text repeats with a period shorter than the guess, the guess goes on with the same period.
        """
        self._read(token_ids)
        stop = len(token_ids)
        for length, ends in zip(self._lengths, self._ends, strict=True):
            if length < stop:
                found = ends.get(tuple(token_ids[stop - length :]))
                if found is not None:
                    return _continued(token_ids, found, num_unknown, num_tokens)
        return ()

    def _read(self, token_ids: Sequence[int]) -> None:
        for end in range(self._num_read, len(token_ids)):
            for length, ends in zip(self._lengths, self._ends, strict=True):
                if length <= end:
                    ends[tuple(token_ids[end - length : end])] = end
        self._num_read = max(self._num_read, len(token_ids))


def _continued(
    token_ids: Sequence[int], start: int, num_skipped: int, num_tokens: int
) -> list[int]:
    """Tokens of the text from `start` on. After its end the text goes on as it did from `start`."""
    period = len(token_ids) - start
    return [
        token_ids[start + index % period] for index in range(num_skipped, num_skipped + num_tokens)
    ]
