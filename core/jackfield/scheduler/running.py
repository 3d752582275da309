"""The requests that have a row: how they get it, how they go from prompt to answer, and how they leave it."""

from __future__ import annotations

from collections.abc import Iterator

from jackfield.kv_cache import BlockManager, BlockTable
from jackfield.scheduler.cohorts import Cohorts
from jackfield.scheduler.request import Request, Stage
from jackfield.scheduler.row_numbers import RowNumbers


class RunningRequests:
    """A request computes its prompt in chunks, then decodes in a cohort, and drains when all its tokens are planned."""

    def __init__(self, blocks: BlockManager, max_rows: int, num_cohorts: int) -> None:
        self._blocks = blocks
        self._block_size = blocks.block_size
        self._max_rows = max_rows
        self.rows = RowNumbers(max_rows)
        self.prefilling: list[Request] = []  # the oldest first
        self.cohorts = Cohorts(num_cohorts)
        self.num_draining = 0

    def __len__(self) -> int:
        return self._max_rows - self.rows.num_free

    def __iter__(self) -> Iterator[Request]:
        """Running requests that have more to compute than is planned."""
        yield from self.cohorts
        yield from self.prefilling

    def admit(self, request: Request, table: BlockTable, num_computed: int) -> None:
        """Give a request its rows, with a table whose first `num_computed` tokens need not be computed."""
        request.row, *request.spare_rows = self.rows.take(request.num_rows)
        request.table = table
        request.num_planned = num_computed
        request.stage = Stage.PREFILLING
        self.prefilling.append(request)

    def start_decoding(self, request: Request, step_id: int) -> None:
        """All known tokens are planned up to this step. From now on the request computes one token a step, if it
        draws any.
        """
        self.prefilling.remove(request)
        if request.pooling is not None:
            request.stage = Stage.DRAINING
            self.num_draining += 1
            return
        self.cohorts.add(request, step_id)
        request.stage = Stage.DECODING
        self.set_next_event(request, request.num_planned)

    def drain(self, request: Request) -> None:
        """All tokens of a decoding request are planned: only results are awaited."""
        self.cohorts.remove(request)
        request.stage = Stage.DRAINING
        self.num_draining += 1

    def return_to_decoding(self, request: Request, step_id: int) -> None:
        """The last tokens of a request were planned, but some guesses before them were wrong, so that it decodes again."""
        if request.stage is Stage.DRAINING and request.num_planned < request.last_computed:
            self.num_draining -= 1
            request.stage = Stage.DECODING
            self.cohorts.add(request, step_id)

    def stop_decoding(self, request: Request) -> None:
        """The last token of a request is drawn. It keeps its row and blocks; a beam search plans it from now on."""
        if request.stage is Stage.DECODING:
            self.cohorts.remove(request)
        else:
            self.num_draining -= 1

    def set_next_event(self, request: Request, held: int) -> None:
        """Set when a decoding row needs a closer look: its blocks are full, or its last token is planned.

        It has blocks for the first `held` positions.
        """
        full = -(-held // self._block_size) * self._block_size
        request.next_event = min(full, request.last_computed)

    def leave(self, request: Request) -> None:
        """Take a request out of its row and give its blocks back."""
        if request.stage is Stage.PREFILLING:
            self.prefilling.remove(request)
        else:
            self.stop_decoding(request)
        assert request.table is not None
        self._blocks.give_back(request.table)
        request.table = None
        request.num_guessed = 0
        request.open_drafts.clear()
        self.rows.leave(request.row)
        self.rows.leave(*request.spare_rows, is_told=False)
        request.row = -1
