"""The step that is being planned, and the record of a step in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jackfield.kv_cache import BlockTable
from jackfield.scheduler.request import OpenDraft, Request
from jackfield.step import BlockAppend, BlockCopy, Draft, NewRow, StepPlan


@dataclass(slots=True)
class Prefill:
    """A chunk of a prompt in a step. It keeps the table, because a preempted request no longer has it."""

    request: Request
    table: BlockTable
    num_tokens: int  # tokens of this chunk
    num_computed: int  # computed tokens of the request after this chunk


@dataclass(slots=True)
class StepInFlight:
    """What the scheduler must know to apply the result of a step."""

    plan: StepPlan
    requests: Sequence[Request]  # in the order of plan.rows
    prefills: Sequence[Prefill]
    drafts: Sequence[OpenDraft]  # in the order of plan.drafts


class PlanBuilder:
    """Collects one step: first the decoding rows (one token each), then chunks of prompts."""

    __slots__ = (
        "budget",
        "copies",
        "drafts",
        "is_short_of_blocks",
        "new_blocks",
        "new_rows",
        "prefills",
        "searching",
        "stalled",
        "step_id",
    )

    def __init__(self, budget: int, step_id: int) -> None:
        self.budget = budget  # tokens left
        self.step_id = step_id
        self.prefills: list[Prefill] = []
        self.drafts: list[OpenDraft] = []  # in the order of the decoding rows
        self.new_rows: list[NewRow] = []
        self.new_blocks: list[BlockAppend] = []
        self.copies: list[BlockCopy] = []
        self.searching: list[Request] = []  # answers of beam searches, one token each
        self.stalled: set[Request] = set()  # running requests that have no block for this step
        self.is_short_of_blocks = False  # True: no request is admitted in this step

    def add_prefill(self, request: Request, table: BlockTable, num_tokens: int) -> None:
        """Let `request` compute `num_tokens` in this step."""
        computed = request.num_planned + num_tokens
        self.prefills.append(Prefill(request, table, num_tokens, computed))
        self.budget -= num_tokens

    def add_draft(self, draft: OpenDraft) -> None:
        """Let a decoding row compute guesses in this step."""
        self.drafts.append(draft)
        self.budget -= len(draft.token_ids)

    def add_row(self, request: Request, table: BlockTable) -> None:
        """Send the worker all facts of a request that was given a row."""
        self.new_rows.append(
            NewRow(
                row=request.row,
                token_ids=tuple(request.token_ids),
                num_prompt_tokens=request.num_prompt_tokens,
                num_computed=request.num_planned,
                block_ids=tuple(tuple(ids) for ids in table.block_ids),
                sampling=request.sampling,
                seed=request.seed,
                end_token_ids=request.end_token_ids,
                pooling=request.pooling,
                second_text=request.second_text,
            )
        )

    def append_blocks(self, row: int, grown: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Send the worker the blocks that were appended to the tables of `row`."""
        for group, block_ids in grown:
            self.new_blocks.append(BlockAppend(row, group, block_ids))

    def withdraw(self, request: Request) -> None:
        """Take everything of a request that has lost its row out of the plan."""
        self.prefills = [prefill for prefill in self.prefills if prefill.request is not request]
        self.drafts = [draft for draft in self.drafts if draft.request is not request]
        self.new_blocks = [append for append in self.new_blocks if append.row != request.row]

    def build(self, removed_rows: Sequence[int], decoding: Sequence[Request]) -> StepInFlight:
        """The finished plan and its record."""
        requests = [*decoding]
        rows = [request.row for request in decoding]
        num_tokens = [1] * len(rows)
        samples = [True] * len(rows)
        pools = []
        for prefill in self.prefills:
            request = prefill.request
            has_caught_up = prefill.num_computed == len(request.token_ids)
            if has_caught_up and request.pooling is not None:
                pools.append(len(rows))
            requests.append(request)
            rows.append(request.row)
            num_tokens.append(prefill.num_tokens)
            samples.append(has_caught_up and request.pooling is None)
        drafts = self._place_drafts(decoding, num_tokens) if self.drafts else ()
        plan = StepPlan(
            step_id=self.step_id,
            removed_rows=removed_rows,
            new_rows=self.new_rows,
            copies=self.copies,
            new_blocks=self.new_blocks,
            rows=rows,
            num_tokens=num_tokens,
            samples=samples,
            pools=pools,
            drafts=drafts,
        )
        return StepInFlight(plan, requests, self.prefills, self.drafts)

    def _place_drafts(self, decoding: Sequence[Request], num_tokens: list[int]) -> list[Draft]:
        """The drafts of decoding rows, with their places. Adds the guesses to `num_tokens`."""
        placed = []
        place = 0
        for draft in self.drafts:
            while decoding[place] is not draft.request:
                place += 1
            num_tokens[place] += len(draft.token_ids)
            placed.append(Draft(place, draft.start, draft.token_ids))
        return placed
