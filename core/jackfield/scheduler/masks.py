"""The masks of rows whose output has a grammar: one packed buffer for each step that draws tokens of such rows."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jackfield.discovery.loading import FAULTS
from jackfield.grammar import GrammarState
from jackfield.scheduler.request import Request
from jackfield.step import LateInputs, StepPlan, TokenMasks

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class AwaitingStep:
    """A step in flight whose masks are not made yet."""

    plan: StepPlan
    places: Sequence[int]  # indices in plan.rows of the rows with a grammar
    requests: Sequence[Request]  # the request of each of these rows
    waits_for_step: int  # the newest earlier step that draws for one of them


class Masks:
    """Makes masks while the device runs. The masks of a step are made as soon as all tokens before it are known."""

    def __init__(self, vocab_size: int, fail: Callable[[Request, str], None]) -> None:
        self._num_bytes = -(-vocab_size // 32) * 4  # bytes of one mask
        self._all = b"\xff" * self._num_bytes
        self._fail = fail
        self._awaiting: deque[AwaitingStep] = deque()

    @property
    def num_awaiting(self) -> int:
        """Steps whose masks are not made yet."""
        return len(self._awaiting)

    def expect(self, plan: StepPlan, places: Sequence[int], requests: Sequence[Request]) -> None:
        """Note that a step was planned that draws tokens of rows with a grammar."""
        plan.awaits_late = True
        newest = max(request.newest_draw for request in requests)
        self._awaiting.append(AwaitingStep(plan, places, requests, newest))
        for request in requests:
            request.newest_draw = plan.step_id

    def ready(self, resolved_step: int) -> Iterator[tuple[int, LateInputs]]:
        """Steps whose late inputs can be made now, with the inputs; in order, each step once."""
        while self._awaiting and self._awaiting[0].waits_for_step <= resolved_step:
            step = self._awaiting.popleft()
            yield step.plan.step_id, LateInputs(masks=self._make(step))

    def _make(self, step: AwaitingStep) -> TokenMasks:
        drafts = {draft.place: draft.token_ids for draft in step.plan.drafts}
        counts = [1 + len(drafts.get(place, ())) for place in step.places]
        places = [p for p, n in zip(step.places, counts, strict=True) for _ in range(n)]
        size = self._num_bytes
        bits = bytearray(size * len(places))
        view = memoryview(bits)
        start = 0
        for place, request, count in zip(step.places, step.requests, counts, strict=True):
            masks = [view[(start + i) * size : (start + i + 1) * size] for i in range(count)]
            self._fill(request, masks, drafts.get(place, ()))
            start += count
        return TokenMasks(places, bits)

    def _fill(self, request: Request, masks: Sequence[memoryview], guesses: Sequence[int]) -> None:
        """Fill the mask of each position at which a row may draw. A position that cannot be reached allows all tokens."""
        num_filled = 0
        state = request.grammar
        if state is not None and not request.is_finished:
            try:
                num_filled = _fill_from(state, masks, guesses)
            except FAULTS as error:
                logger.error("request %s: %s", request.request_id, error, exc_info=error)
                self._fail(request, f"its grammar failed: {type(error).__name__}: {error}")
        for mask in masks[num_filled:]:
            mask[:] = self._all


def _fill_from(state: GrammarState, masks: Sequence[memoryview], guesses: Sequence[int]) -> int:
    """Fill masks as long as the grammar accepts the guesses. Returns how many were filled."""
    num_accepted = 0
    for mask in masks:
        if state.is_finished:
            break
        state.fill(mask)
        if num_accepted == len(guesses) or not state.accept(guesses[num_accepted]):
            state.rollback(num_accepted)
            return num_accepted + 1
        num_accepted += 1
    state.rollback(num_accepted)
    return num_accepted
