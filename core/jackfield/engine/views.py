"""Parts of growing lists without a copy, and an output whose text is joined when it is read.

With these, an output for a step costs the same at the end of a long answer as at its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from itertools import islice
from typing import Any, TypeVar, overload

from jackfield.request import CompletionOutput
from jackfield.step import TokenLogprobs

T = TypeVar("T")


class ListView(Sequence[T]):
    """Elements [start, stop) of a list that only grows; equal to a list or tuple of the same elements."""

    __slots__ = ("_list", "_start", "_stop")
    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none

    def __init__(self, values: list[T], start: int, stop: int) -> None:
        self._list = values
        self._start = start
        self._stop = stop

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, key: int) -> T: ...
    @overload
    def __getitem__(self, key: slice) -> list[T]: ...
    def __getitem__(self, key: int | slice) -> T | list[T]:
        if isinstance(key, slice):
            return self._list[self._start : self._stop][key]
        place = key + len(self) if key < 0 else key
        if not 0 <= place < len(self):
            raise IndexError(f"index {key} is outside of {len(self)} elements")
        return self._list[self._start + place]

    def __iter__(self) -> Iterator[T]:
        return islice(self._list, self._start, self._stop)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (ListView, list, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return repr(self[:])

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self[:],)


class StreamedOutput(CompletionOutput):
    """One of many states of an output; `text` is joined from its pieces when it is read."""

    __slots__ = ("_num_pieces", "_pieces")
    _num_pieces: int
    _pieces: list[str]

    def __init__(
        self,
        *,
        index: int,
        pieces: list[str],
        num_pieces: int,  # pieces that belong to this state; more may follow
        token_ids: Sequence[int],
        delta: str,
        logprobs: Sequence[TokenLogprobs] | None,
    ) -> None:
        values = {
            "index": index,
            "token_ids": token_ids,
            "delta": delta,
            "finish_reason": None,
            "stop_reason": None,
            "logprobs": logprobs,
            "error": None,
            "score": None,
            "vector": None,
            "_pieces": pieces,
            "_num_pieces": num_pieces,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(islice(self._pieces, self._num_pieces))

    def __reduce__(self) -> tuple[Any, ...]:
        values = {item.name: getattr(self, item.name) for item in fields(CompletionOutput)}
        return partial(CompletionOutput, **values), ()
