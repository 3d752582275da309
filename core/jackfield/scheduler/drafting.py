"""Drafts of the decoding rows, by their grammar or a speculator: which rows get one, and how its result is counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from jackfield.discovery.loading import FAULTS
from jackfield.interfaces.speculator import Drafter
from jackfield.kv_cache import BlockManager
from jackfield.scheduler.request import OpenDraft, Request

logger = logging.getLogger(__name__)


class Drafting:
    """Asks drafters for guesses. A drafter that fails is not asked again: answers do not need it.

    Rows with steps in flight get drafts too. Such a draft begins where the row will be if all drafts before it are
    confirmed. If one of them is not, the draft is void.
    """

    def __init__(
        self,
        make_drafter: Callable[[], Drafter],
        num_tokens: int,
        vocab_size: int,
        name: str = "the speculator",  # name of the speculator with its distribution, for messages
    ) -> None:
        self._make_drafter = make_drafter
        self._num_tokens = num_tokens
        self._vocab_size = vocab_size
        self._name = name
        self._has_failed = False

    def draft(self, request: Request, budget: int) -> Sequence[int]:
        """Guesses for the next step of a row, at most as many as `budget` tokens and the request's end allow."""
        room = min(self._num_tokens, budget, request.last_computed - request.num_planned - 1)
        if room <= 0 or self._has_failed:
            return ()
        num_unknown = request.num_planned + 1 - len(request.token_ids)
        try:
            guesses = _forced(request, num_unknown)
            if not guesses:
                if request.drafter is None:
                    request.drafter = self._make_drafter()
                guesses = list(request.drafter.propose(request.token_ids, num_unknown, room))
            if guesses and not 0 <= min(guesses) <= max(guesses) < self._vocab_size:
                raise ValueError(f"guessed {guesses}; ids run from 0 to {self._vocab_size - 1}")
        except FAULTS:
            self._has_failed = True
            logger.exception("%s failed; the engine goes on without drafts", self._name)
            return ()
        return guesses[:room]


def _forced(request: Request, num_unknown: int) -> list[int]:
    """Tokens that the grammar prescribes behind the tokens that are being computed."""
    state = request.grammar
    if state is None or state.is_finished:
        return []
    return list(state.forced())[num_unknown:]


def open_draft(
    blocks: BlockManager, request: Request, token_ids: Sequence[int]
) -> tuple[OpenDraft, Sequence[tuple[int, list[int]]]] | None:
    """The draft, with the blocks that its tokens need, by group. None if these blocks are not free."""
    table = request.table
    assert table is not None
    start = request.num_planned
    grown = blocks.extend(table, request.num_sure, start + 1 + len(token_ids))
    return None if grown is None else (OpenDraft(request, table, start + 1, token_ids), grown)


def settle_draft(draft: OpenDraft, num_drawn: int) -> bool:
    """Count the confirmed tokens of a draft. True if its request is behind what was planned for it.

    If a guess was wrong, the drafts that this request has in later steps are void.
    """
    request = draft.request
    if request.table is not draft.table:
        return False  # the request ended or was preempted
    num_missed = draft.num_open + 1 - num_drawn
    request.open_drafts.remove(draft)
    request.num_guessed -= draft.num_open
    if num_missed:
        for later in request.open_drafts:
            num_missed += later.num_open
            request.num_guessed -= later.num_open
            later.num_open = 0
    request.num_planned -= num_missed
    return num_missed > 0
