"""One row of the reference device: a request's tokens, its block tables, and its computation through them."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.step import NewRow
from jackfield_testing.cache import GroupCache
from jackfield_testing.faults import BooksError
from jackfield_testing.history import History, digest, first_visible, mix
from jackfield_testing.row_tables import RowTables
from jackfield_testing.sampler import DrawContext


class Row:
    """The state of one request on the device."""

    def __init__(
        self, new: NewRow, caches: Sequence[GroupCache], vocab_size: int, *, verify: bool
    ) -> None:
        if not 0 <= new.num_computed < len(new.token_ids):
            raise BooksError(
                f"row {new.row} comes with {new.num_computed} of {len(new.token_ids)} tokens computed; "
                "at least one must be left to compute"
            )
        if not 0 < new.num_prompt_tokens <= len(new.token_ids):
            raise BooksError(
                f"row {new.row} comes with {len(new.token_ids)} tokens, {new.num_prompt_tokens} of them prompt"
            )
        self.number = new.row
        self.token_ids = list(new.token_ids)
        self.new = new
        self.tables = RowTables(new, caches)
        self.guesses: tuple[int, ...] = ()  # guesses of this step, after token_ids
        self.error: str | None = None  # if set, the tokens that the row draws do not count
        self._vocab_size = vocab_size
        self._groups = [cache.group for cache in caches]
        self._history = History(self._groups) if verify else None

    @property
    def num_computed(self) -> int:
        """Leading tokens that are in the cache."""
        return self.tables.num_computed

    def compute(self, num_tokens: int, guesses: Sequence[int] = ()) -> list[tuple[int, int]]:
        """Write the values of the next tokens into the cache, and those of guesses after them.

        If the request asked for log probabilities of its prompt, returns (state, next token) for each of these tokens
        that is followed by a prompt token.
        """
        self.guesses = tuple(guesses)
        start, stop = self.num_computed, self.num_computed + num_tokens + len(guesses)
        self.tables.check_reach(stop)
        wants_prompt = self.new.sampling.prompt_logprobs is not None
        seen = _Sight(self, start, start)
        states = []
        for position in range(start, stop):
            value = mix(self._token(position), position, *seen.digests(position))
            seen.append(value)
            for cache, table in zip(self.tables.caches, self.tables.block_ids, strict=True):
                cache.write(table, position, value ^ cache.group.index)
            if wants_prompt and position + 1 < self.new.num_prompt_tokens:
                states.append((mix(*seen.digests(position)), self.token_ids[position + 1]))
        self.tables.advance(num_tokens)
        return states

    def settle(self) -> None:
        """Count the guesses that came true as computed. The values of the others are void."""
        stop = self.num_computed + len(self.guesses)
        self.tables.advance(len(self.token_ids) - 1 - self.num_computed)
        for position in range(self.num_computed, stop):
            for cache, table in zip(self.tables.caches, self.tables.block_ids, strict=True):
                cache.poison_slot(table, position)
        self.guesses = ()

    def state(self, num_guessed: int = 0) -> int:
        """The state after `num_guessed` guesses, read back through the block tables."""
        position = self.num_computed - 1 + num_guessed
        return mix(*_Sight(self, position, position + 1).digests(position))

    def draw_context(self, mask: memoryview | None, echo_token_id: int | None) -> DrawContext:
        """Everything that the next token depends on."""
        return DrawContext(
            sampling=self.new.sampling,
            seed=self.new.seed,
            token_ids=self.token_ids,
            num_prompt_tokens=self.new.num_prompt_tokens,
            end_token_ids=self.new.end_token_ids,
            vocab_size=self._vocab_size,
            mask=mask,
            echo_token_id=echo_token_id,
        )

    def read(self, group: int, start: int, stop: int) -> list[int]:
        """Values read through the table of a group. If asked for, they are compared with the right ones."""
        values = self.tables.caches[group].read(self.tables.block_ids[group], start, stop)
        if self._history is not None:
            self._compare(group, start, values)
        return values

    def _token(self, position: int) -> int:
        num_known = len(self.token_ids)
        known = position < num_known
        token_id = self.token_ids[position] if known else self.guesses[position - num_known]
        if not 0 <= token_id < self._vocab_size:
            raise BooksError(
                f"row {self.number} has token {token_id} at position {position}; vocabulary: {self._vocab_size}"
            )
        return token_id

    def _compare(self, group: int, start: int, values: Sequence[int]) -> None:
        assert self._history is not None
        for token_id in self.token_ids[len(self._history) : start + len(values)]:
            self._history.append(token_id)
        expected = self._history.values[group][start : start + len(values)]
        if values == expected:
            return
        wrong = next(i for i, value in enumerate(values) if value != expected[i])
        cache, table = self.tables.caches[group], self.tables.block_ids[group]
        raise BooksError(
            f"row {self.number} reads another request's value at position {start + wrong} of group {group}, "
            f"in block {table[(start + wrong) // cache.block_size]}"
        )


class _Sight:
    """The values that a row sees in each group, from the window of `first` to `stop` - 1. It can be extended."""

    def __init__(self, row: Row, first: int, stop: int) -> None:
        self._groups = [cache.group for cache in row.tables.caches]
        self._starts = [first_visible(group, first) for group in self._groups]
        self._values = [row.read(i, start, stop) for i, start in enumerate(self._starts)]

    def append(self, value: int) -> None:
        for group, values in zip(self._groups, self._values, strict=True):
            values.append(value ^ group.index)

    def digests(self, position: int) -> list[int]:
        """For each group, a digest of everything that a query at `position` sees so far."""
        return [
            digest(values[first_visible(group, position) - start :])
            for group, start, values in zip(self._groups, self._starts, self._values, strict=True)
        ]
