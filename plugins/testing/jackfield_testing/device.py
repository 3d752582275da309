"""The reference device: rows and caches as Python lists, and one step through them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from jackfield.cache import CacheGroup
from jackfield.step import (
    Draft,
    LateInputs,
    NewRow,
    StepLimits,
    StepPlan,
    StepResult,
    TokenLogprobs,
)
from jackfield_testing.cache import GroupCache
from jackfield_testing.faults import BooksError
from jackfield_testing.options import ReferenceOptions
from jackfield_testing.row import Row
from jackfield_testing.sampler import Ranking, draw
from jackfield_testing.vectors import vector_of


class ReferenceDevice:
    """Computes steps. Raises BooksError if a plan does not fit the state of the rows."""

    def __init__(
        self,
        groups: Sequence[CacheGroup],
        num_blocks: Sequence[int],
        block_size: int,
        *,
        vocab_size: int,
        max_length: int,
        limits: StepLimits,
        options: ReferenceOptions,
        vector_size: int = 8,
        num_classes: int = 1,
    ) -> None:
        self.caches = tuple(
            GroupCache(group, count, block_size)
            for group, count in zip(groups, num_blocks, strict=True)
        )
        self.rows: dict[int, Row] = {}
        self._vocab_size = vocab_size
        self._max_length = max_length
        self._limits = limits
        self._options = options
        self._vector_sizes = vector_size, num_classes
        self._last_step_id = -1

    def run(self, plan: StepPlan, late: LateInputs) -> StepResult:
        """Run one step: change the rows as the plan says, then compute and draw."""
        self._check_shape(plan)
        self._apply(plan)
        rows = [self._row(number) for number in plan.rows]
        drafts = {draft.place: draft for draft in plan.drafts}
        num_tokens = [
            count - self._num_guesses(plan, place, drafts.get(place))
            for place, count in enumerate(plan.num_tokens)
        ]
        for place, (row, count) in enumerate(zip(rows, num_tokens, strict=True)):
            self._check_row(row, count, gives=plan.samples[place] or place in plan.pools)
        guesses = {
            place: draft.token_ids
            for place, draft in drafts.items()
            if draft.start == len(rows[place].token_ids)
        }
        prompt_logprobs = self._compute(rows, num_tokens, guesses)
        # As in one forward pass, all rows write before any row reads what it draws from.
        drawn = self._draw(plan, rows, late)
        return StepResult(
            step_id=plan.step_id,
            token_ids=[token_id for row in drawn for token_id in row.token_ids],
            counts=[len(row.token_ids) for row in drawn] if drafts else None,
            logprobs={row.place: row.logprobs for row in drawn if row.logprobs},
            prompt_logprobs=prompt_logprobs,
            errors={i: row.error for i, row in enumerate(rows) if row.error is not None},
            vectors={place: self._pooled(rows[place]) for place in plan.pools},
        )

    def _apply(self, plan: StepPlan) -> None:
        """Apply the fields of a plan in their order."""
        for number in plan.removed_rows:
            self._row(number).tables.release()
            del self.rows[number]
        new_rows = [self._add_row(new) for new in plan.new_rows]
        for copy in plan.copies:
            self.caches[copy.group].copy(copy.source, copy.target)
        for row in new_rows:
            row.tables.spoil_unwritten()
        for replace in plan.replaced_blocks:
            self._row(replace.row).tables.replace(replace.group, replace.index, replace.block_id)
        for append in plan.new_blocks:
            self._row(append.row).tables.append(append.group, append.block_ids)

    def _add_row(self, new: NewRow) -> Row:
        if new.row in self.rows:
            raise BooksError(f"row {new.row} is given to a new request, but is in use")
        if not 0 <= new.row < self._limits.max_rows:
            raise BooksError(
                f"there is no row {new.row}; the worker has {self._limits.max_rows} rows"
            )
        row = Row(new, self.caches, self._vocab_size, verify=self._options.verify)
        self.rows[new.row] = row
        return row

    def _row(self, number: int) -> Row:
        row = self.rows.get(number)
        if row is None:
            raise BooksError(f"the plan names row {number}, which is not in use")
        return row

    # Checks of facts that a real worker trusts

    def _check_shape(self, plan: StepPlan) -> None:
        if plan.step_id <= self._last_step_id:
            raise BooksError(
                f"step {plan.step_id} came after step {self._last_step_id}; ids must increase"
            )
        self._last_step_id = plan.step_id
        if not len(plan.rows) == len(plan.num_tokens) == len(plan.samples):
            raise BooksError(f"step {plan.step_id}: rows, num_tokens and samples differ in length")
        if len(set(plan.rows)) != len(plan.rows):
            raise BooksError(f"step {plan.step_id} computes a row twice: {list(plan.rows)}")
        limits = self._limits
        if len(plan.rows) > limits.max_rows or sum(plan.num_tokens) > limits.max_step_tokens:
            raise BooksError(
                f"step {plan.step_id} has {len(plan.rows)} rows and {sum(plan.num_tokens)} tokens; "
                f"allowed: {limits.max_rows} and {limits.max_step_tokens}"
            )

    def _check_row(self, row: Row, num_tokens: int, *, gives: bool) -> None:
        stop, num_known = row.num_computed + num_tokens, len(row.token_ids)
        if num_tokens < 1 or stop > num_known:
            raise BooksError(
                f"row {row.number} is to compute {num_tokens} tokens, but has {row.num_computed} "
                f"of {num_known} computed"
            )
        if gives != (stop == num_known):
            raise BooksError(
                f"row {row.number} has samples={gives}, but {stop} of its {num_known} tokens are "
                "computed after this step"
            )
        if stop > self._max_length:
            raise BooksError(
                f"row {row.number} computes position {stop - 1}; the model has {self._max_length}"
            )

    # Computing

    def _num_guesses(self, plan: StepPlan, place: int, draft: Draft | None) -> int:
        """The number of guesses of a row, checked. Whether they count is decided elsewhere."""
        if draft is None:
            return 0
        row, num_guesses = self._row(plan.rows[place]), len(draft.token_ids)
        if not num_guesses or plan.num_tokens[place] != 1 + num_guesses or not plan.samples[place]:
            raise BooksError(
                f"row {row.number} has a draft of {num_guesses} tokens, but computes "
                f"{plan.num_tokens[place]} with samples={plan.samples[place]}"
            )
        if draft.start < len(row.token_ids):
            raise BooksError(
                f"row {row.number} has a draft for position {draft.start}, but {len(row.token_ids)} tokens"
            )
        return num_guesses

    def _compute(
        self,
        rows: Sequence[Row],
        counts: Sequence[int],
        guesses: Mapping[int, Sequence[int]],
    ) -> dict[int, list[TokenLogprobs]]:
        prompt_logprobs = {}
        for index, (row, num_tokens) in enumerate(zip(rows, counts, strict=True)):
            row.error = row.error or self._row_error(
                row, row.num_computed, row.num_computed + num_tokens
            )
            if states := row.compute(num_tokens, guesses.get(index, ())):
                num_top = row.new.sampling.prompt_logprobs or 0
                prompt_logprobs[index] = [
                    Ranking.of(state, self._vocab_size).logprobs(token_id, num_top)
                    for state, token_id in states
                ]
        return prompt_logprobs

    def _row_error(self, row: Row, start: int, stop: int) -> str | None:
        position, token_id = self._options.error_position, self._options.error_token_id
        if position is not None and start <= position < stop:
            return f"options.reference.error_position = {position}"
        if token_id is not None and token_id in row.token_ids[start:stop]:
            return f"options.reference.error_token_id = {token_id}"
        return None

    def _draw(self, plan: StepPlan, rows: Sequence[Row], late: LateInputs) -> list[_Drawn]:
        masks: dict[int, list[memoryview]] = {}
        for place, mask in late.masks.each() if late.masks is not None else ():
            masks.setdefault(place, []).append(mask)
        drawn = []
        for place, (row, samples) in enumerate(zip(rows, plan.samples, strict=True)):
            if samples:
                drawn.append(self._draw_row(place, row, masks.get(place)))
                row.settle()
        return drawn

    def _pooled(self, row: Row) -> array[float]:
        if (params := row.new.pooling) is None:
            raise BooksError(f"row {row.number} is to give a vector, and its request wants none")
        return vector_of(row.state(), params, *self._vector_sizes)

    def _draw_row(self, place: int, row: Row, masks: Sequence[memoryview] | None) -> _Drawn:
        """Draw as always after each position. The first token that differs from its guess is the last one."""
        drawn = _Drawn(place)
        for num_guessed in range(len(row.guesses) + 1):
            state = row.state(num_guessed)
            mask = masks[num_guessed] if masks is not None else None
            token_id = draw(state, row.draw_context(mask, self._options.echo_token_id))
            if token_id is None:
                row.error = row.error or "no token is allowed by the mask, the bias and min_tokens"
                token_id = 0
            num_top = row.new.sampling.logprobs
            if num_top is not None:
                ranking = Ranking.of(state, self._vocab_size)
                drawn.logprobs.append(ranking.logprobs(token_id, num_top))
            row.token_ids.append(token_id)
            drawn.token_ids.append(token_id)
            if row.error or num_guessed == len(row.guesses) or token_id != row.guesses[num_guessed]:
                break
            stop = len(row.token_ids)
            row.error = self._row_error(row, stop - 1, stop)
        return drawn


class _Drawn:
    """The tokens that one row drew in a step."""

    __slots__ = ("logprobs", "place", "token_ids")

    def __init__(self, place: int) -> None:
        self.place = place  # index in the plan's rows
        self.token_ids: list[int] = []
        self.logprobs: list[TokenLogprobs] = []
