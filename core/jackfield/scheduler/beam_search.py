"""A beam search in rows of the worker. Its answers share blocks of the cache until one of them writes.

The search's leader computes the prompt as any request does. From then on each answer that the search follows has a row.
After each step the best continuations are chosen (`hypotheses.py`). If an answer has one continuation, that stays in
the answer's row with its blocks. Each further continuation gets a row whose table shares the blocks, and a copy of
the last block if that is not full. Rows and blocks of answers without a continuation become free.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from jackfield.cache import RECURRENT
from jackfield.errors import RequestError
from jackfield.kv_cache import BlockManager
from jackfield.request import EngineRequest, FinishReason
from jackfield.sampling import BeamSearch, SamplingParams
from jackfield.scheduler.hypotheses import Continuation, Hypothesis, SearchRules, best_of
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.request import Request, Stage
from jackfield.scheduler.row_numbers import RowNumbers


def row_sampling(sampling: SamplingParams, num_logprobs: int) -> SamplingParams:
    """Sampling parameters for the rows of a search; they ask the worker for `num_logprobs` log probabilities."""
    return replace(
        sampling, beam_search=None, n=1, temperature=0.0, min_tokens=0, logprobs=num_logprobs
    )


class Beam(Request):
    """An answer that a search follows. The leader is the prompt, before there are answers."""

    __slots__ = ("search",)
    search: Search


@dataclass(frozen=True, slots=True)
class Fork:
    """An answer that gets a row of its own, with the blocks of another answer."""

    beam: Beam
    source: Beam


class Search:
    """One beam search. `outputs` are the user's outputs, `beams` the answers that are followed, the best first."""

    def __init__(self, outputs: Sequence[Request], vocab_size: int) -> None:
        first = outputs[0]
        sampling = first.sampling
        assert isinstance(sampling.beam_search, BeamSearch)
        self.outputs = outputs
        self.width = sampling.beam_search.width
        self.rules = SearchRules(
            search=sampling.beam_search,
            end_token_ids=first.stop_ids,
            min_tokens=sampling.min_tokens,
            max_tokens=first.max_tokens - first.num_prompt_tokens,
            num_logprobs=sampling.logprobs or 0,
        )
        self._sampling = row_sampling(sampling, min(self.rules.num_kept, vocab_size))
        self.leader = self._make_leader()
        self._forget()

    def _forget(self) -> None:
        self.beams: list[Beam] = []  # empty until the prompt is computed
        self.is_ready = False  # True: its next step can be planned
        self._idle: list[Beam] = []  # beams that have a row but no answer
        self._scores = [0.0]  # of the beams
        self._finished: list[Hypothesis] = []
        self._forks: list[Fork] = []  # forks that have no table yet
        self._changed: set[Beam] = set()  # beams whose last token on the worker is another one
        self._told: set[int] = set()  # rows that the worker knows

    def _make_leader(self) -> Beam:
        """The leader is planned as a request of one new token, and never ends by itself."""
        leader = self._make_beam()
        leader.last_computed = leader.num_prompt_tokens
        leader.num_rows = self.width
        return leader

    def _make_beam(self) -> Beam:
        output = self.outputs[0]
        request = EngineRequest(
            request_id=output.request_id,
            prompt_token_ids=output.token_ids[: output.num_prompt_tokens],
            sampling=self._sampling,
            priority=output.priority,
            prefix_key=output.prefix_key,
        )
        beam = Beam(request, seed=output.seed, end_token_ids=(), index=0, parent=None)
        beam.stop_ids = frozenset()
        beam.max_tokens = beam.check_at = sys.maxsize
        beam.search = self
        return beam

    @property
    def is_ended(self) -> bool:
        """True once the outputs have ended."""
        return self.outputs[0].is_finished

    def leave(self, blocks: BlockManager, rows: RowNumbers) -> None:
        """Give back the rows and blocks of all answers. What steps in flight bring for them is void."""
        for beam in (*self.beams, *self._idle):
            beam.end(FinishReason.ABORT)
            if beam.table is not None:
                blocks.give_back(beam.table)
            rows.leave(beam.row, is_told=beam.row in self._told)
        self._forget()

    def again(self) -> Beam:
        """Start the search again, because its blocks were needed. Returns a new leader to queue in the place of the
        old one.
        """
        old = self.leader
        leader = self.leader = self._make_leader()
        leader.arrival, leader.admission_key = old.arrival, old.admission_key
        leader.num_preemptions = old.num_preemptions
        self.outputs[0].num_preemptions += 1
        return leader

    # After a step

    def begin(self) -> None:
        """Start the search itself: the prompt is computed, and the leader is the only answer."""
        leader = self.leader
        leader.stage, leader.check_at = Stage.SEARCHING, sys.maxsize
        if leader.num_preemptions == 0:
            self.outputs[0].num_cached_tokens = leader.num_cached_tokens
        self.beams, self._told = [leader], {leader.row}
        for row in leader.spare_rows:
            beam = self._make_beam()
            beam.row, beam.stage = row, Stage.SEARCHING
            self._idle.append(beam)

    def advance(self, blocks: BlockManager, rows: RowNumbers) -> bool:
        """Choose which answers to follow. The results of all rows must be there. False if the search is over."""
        rules = self.rules
        num_new = self.beams[0].num_output_tokens
        found = [beam.logprobs[-1] for beam in self.beams if beam.logprobs]
        chosen: list[Continuation] = []
        for place, continuation in enumerate(rules.continuations(self._scores, found, num_new)):
            reason = rules.reason(continuation, num_new)
            if reason is None and len(chosen) < self.width:
                chosen.append(continuation)
            elif reason is not None and place < self.width:
                self._finished.append(self._hypothesis(continuation, reason, num_new))
        self._finished = best_of(self._finished, self.width)
        worth = [hypothesis.score for hypothesis in self._finished]
        if not chosen or rules.is_over(worth, chosen[0].score, num_new):
            return False
        self._follow(chosen, blocks, rows)
        return True

    def finish(self) -> None:
        """Give the best answers to the outputs."""
        for output, found in zip_longest(self.outputs, self._finished[: len(self.outputs)]):
            output.stage = Stage.FINISHED
            if found is None:
                told = f"the search found {len(self._finished)} answers only"
                output.end(FinishReason.ERROR, error=told)
                continue
            output.token_ids += found.token_ids
            if output.logprobs is not None:
                output.logprobs += found.logprobs
            output.score, last = found.score, found.token_ids[-1]
            named = last in output.sampling.stop_token_ids
            output.end(found.finish_reason, last if named else None)

    def _hypothesis(
        self, continuation: Continuation, reason: FinishReason, num_new: int
    ) -> Hypothesis:
        beam = self.beams[continuation.beam]
        return Hypothesis(
            self.rules.final(continuation.score, num_new),
            [*beam.token_ids[beam.num_prompt_tokens : -1], continuation.token_id],
            [*(beam.logprobs or ())[:-1], continuation.logprobs],
            reason,
        )

    def _follow(
        self, chosen: Sequence[Continuation], blocks: BlockManager, rows: RowNumbers
    ) -> None:
        """Give each continuation a row. The first continuation of an answer stays in the answer's row."""
        beams, idle = self.beams, self._idle
        continued = {continuation.beam for continuation in chosen}
        for index, beam in enumerate(beams):
            if index not in continued and beam.table is not None:
                blocks.give_back(beam.table)
                beam.table = None
                # Other requests may get its blocks before this row has an answer again.
                rows.empty(beam.row)
                self._told.remove(beam.row)
                idle.append(beam)
        heirs: dict[int, Continuation] = {}
        following = []
        for continuation in chosen:
            beam = source = beams[continuation.beam]
            if heirs.setdefault(continuation.beam, continuation) is not continuation:
                beam = idle.pop()
                beam.token_ids[:] = source.token_ids
                beam.logprobs = list(source.logprobs or ())
                _set_last(beam, continuation)
                self._forks.append(Fork(beam, source))
                self._changed.add(beam)
            following.append(beam)
        for index, continuation in heirs.items():
            if beams[index].token_ids[-1] != continuation.token_id:
                self._changed.add(beams[index])
            _set_last(beams[index], continuation)
        self.beams, self._scores = following, [continuation.score for continuation in chosen]
        self.is_ready = True

    # Before a step

    def num_missing(self, block_size: int) -> int:
        """Blocks of each cache group that the search's next step takes."""
        is_full = (len(self.beams[0].token_ids) - 1) % block_size == 0
        return len(self.beams) if is_full else len(self._forks)

    def plan(self, plan: PlanBuilder, blocks: BlockManager, rows: RowNumbers) -> None:
        """Put the next step of all answers into `plan`. The blocks that it takes must be free."""
        num_computed = len(self.beams[0].token_ids) - 1
        no_spare = [0] * len(blocks.pools)
        for fork in self._forks:
            assert fork.source.table is not None
            hit = blocks.fork_prefix(fork.source.table, num_computed)
            assert hit is not None, "no window has moved on since"
            assert hit.num_tokens == num_computed, "all positions can be forked"
            fork.beam.table = blocks.allocate(hit, num_computed + 1, 1, no_spare, plan.copies)
        for beam in self.beams:
            assert beam.table is not None
            beam.num_planned = num_computed
            grown = blocks.extend(beam.table, num_computed, num_computed + 1)
            assert grown is not None, "there were enough"
            if beam not in self._changed:
                plan.append_blocks(beam.row, grown)
                continue
            if beam.row in self._told:
                rows.empty(beam.row)
            self._told.add(beam.row)
            plan.add_row(beam, beam.table)
        plan.searching += self.beams
        plan.budget -= len(self.beams)
        self._forks.clear()
        self._changed.clear()
        self.is_ready = False


def check_fits(search: Search, blocks: BlockManager, max_rows: int) -> None:
    """Raise RequestError if a search could never run, even alone."""
    output, width, size = search.outputs[0], search.width, blocks.block_size
    name = f"request {output.request_id!r}"
    if not blocks.can_fork:
        raise RequestError(
            f"{name} asks for a beam search, and this model keeps states that answers cannot share. Leave out "
            "beam_search"
        )
    if width > max_rows:
        raise RequestError(
            f"{name} searches with {width} beams; each has a row, and scheduler.max_rows = {max_rows}. "
            "Take fewer beams, or raise it"
        )
    if any(group.kind == RECURRENT for group in blocks.groups):
        raise RequestError(
            f"{name} searches with {width} beams, which go back to what others had; the state of a recurrent layer "
            "cannot. Take one answer, or several samples (n)"
        )
    num_new = search.rules.max_tokens
    for group, pool in zip(blocks.groups, blocks.pools, strict=True):
        window = group.window or group.chunk_size or sys.maxsize
        # The answers share the prompt. Each has blocks of its own for the rest, and one more while it is copied.
        own = -(-min(num_new, window) // size) + 2
        needed = -(-min(output.num_prompt_tokens, window + size) // size) + width * own
        if needed > pool.num_blocks:
            raise RequestError(
                f"{name} searches with {width} beams of up to {num_new} new tokens, which may take {needed} blocks "
                f"of {size} tokens; the cache has {pool.num_blocks}. Take fewer beams or tokens, or raise "
                "cache.memory_bytes or cache.num_blocks"
            )


def _set_last(beam: Beam, continuation: Continuation) -> None:
    beam.token_ids[-1] = continuation.token_id
    if beam.logprobs:
        beam.logprobs[-1] = continuation.logprobs
