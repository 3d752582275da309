"""All beam searches of a scheduler: how they wait, get rows and blocks, are preempted, and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from jackfield.kv_cache import BlockManager
from jackfield.request import FinishReason
from jackfield.scheduler.beam_search import Beam, Search, check_fits
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.request import Request, Stage
from jackfield.scheduler.row_numbers import RowNumbers
from jackfield.scheduler.waiting_queue import WaitingQueue


class Searches:
    """A search waits and computes its prompt as one request, the leader, which is given a row for each beam.

    Then the search is planned here, one step at a time: the next step when the results of the last one are there. A
    preempted search starts again with its prompt.
    """

    def __init__(
        self,
        blocks: BlockManager,
        rows: RowNumbers,
        waiting: WaitingQueue,
        *,
        leave_row: Callable[[Request], None],
        stop_decoding: Callable[[Request], None],
        vocab_size: int,
    ) -> None:
        self._blocks, self._rows, self._waiting = blocks, rows, waiting
        self._leave_row, self._stop_decoding = leave_row, stop_decoding
        self._vocab_size = vocab_size
        self._of: dict[Request, Search] = {}  # search of each output that waits for one

    def __bool__(self) -> bool:
        return bool(self._of)

    def of(self, request: Request) -> Search | None:
        """The search that a request belongs to, as one of its answers or as an output."""
        return request.search if isinstance(request, Beam) else self._of.get(request)

    def make_leader(self, outputs: Sequence[Request], max_rows: int) -> Beam:
        """The leader to queue for these outputs. Raises RequestError if the search can never run."""
        search = Search(outputs, self._vocab_size)
        check_fits(search, self._blocks, max_rows)
        return search.leader

    def add(self, outputs: Sequence[Request], leader: Request) -> None:
        """Register the search of `leader`, if it leads one, after it was queued."""
        if isinstance(leader, Beam):
            self._of.update(dict.fromkeys(outputs, leader.search))

    def leaders(self, plan: PlanBuilder) -> Iterator[Request]:
        """Leaders of searches that can be preempted: they follow answers and are not in this plan."""
        for search in dict.fromkeys(self._of.values()):
            if search.beams and search.beams[0] not in plan.searching:
                yield search.leader

    def plan(self, plan: PlanBuilder, make_room: Callable[[PlanBuilder], Request | None]) -> None:
        """Plan one token for each answer of the searches that are ready."""
        for search in tuple(dict.fromkeys(self._of.values())):
            while search.is_ready:
                num_missing = search.num_missing(self._blocks.block_size)
                if all(pool.num_free >= num_missing for pool in self._blocks.pools):
                    search.plan(plan, self._blocks, self._rows)
                elif make_room(plan) is None:
                    return

    def resolve(self, moved: Sequence[Request]) -> list[Request]:
        """Continue each search whose results are among what moved in a step. Returns what to report."""
        told = [request for request in moved if not isinstance(request, Beam)]
        for search in dict.fromkeys(beam.search for beam in moved if isinstance(beam, Beam)):
            if not search.is_ended:
                self._advance(search)
            if search.is_ended:
                told += search.outputs
        return told

    def _advance(self, search: Search) -> None:
        if not search.beams:
            self._stop_decoding(search.leader)
            search.begin()
        if not search.advance(self._blocks, self._rows):
            search.finish()
            search.leave(self._blocks, self._rows)
            self._forget(search)

    def begin_again(self, plan: PlanBuilder, beam: Beam) -> Beam:
        """Let a search give back everything. Returns its new leader, which is in no row."""
        search = beam.search
        if not search.beams:
            plan.withdraw(search.leader)
        self._leave(search)
        return search.again()

    def end(
        self, search: Search, reason: FinishReason, stop_reason: str | int | None, error: str | None
    ) -> None:
        """End all outputs of a search, whatever its stage."""
        self._leave(search)
        for output in search.outputs:
            output.end(reason, stop_reason, error)
            output.stage = Stage.FINISHED
        self._forget(search)

    def _leave(self, search: Search) -> None:
        """Give back all rows and blocks; results in flight are void."""
        leader = search.leader
        if search.beams:
            search.leave(self._blocks, self._rows)
            return
        leader.end(FinishReason.ABORT)
        if leader.stage is Stage.WAITING:
            self._waiting.withdraw(leader)
        else:
            self._leave_row(leader)

    def _forget(self, search: Search) -> None:
        for output in search.outputs:
            del self._of[output]
