"""A worker of pure ints that checks every read and write, and a loop that checks the books after every call."""

from __future__ import annotations

import pickle
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count, groupby
from typing import Any

import pytest

from jackfield.cache import CHUNKED, FULL, NONE, RECURRENT, WINDOW, CacheGroup, key_and_value
from jackfield.config import SchedulerSettings
from jackfield.dtypes import FLOAT32
from jackfield.kv_cache import BlockManager
from jackfield.pooling import PoolingParams
from jackfield.request import EngineRequest, FinishReason, PrefixKey
from jackfield.sampling import SamplingParams
from jackfield.scheduler import Request, Scheduler
from jackfield.scheduler.policies import FcfsPolicy
from jackfield.step import NewRow, StepLimits, StepPlan, StepResult
from jackfield_testing.history import first_visible
from jackfield_testing.models import sight_of

VOCAB_SIZE = 50


def next_token(token_ids: Sequence[int], seed: int) -> int:
    """The model: a token that depends on all before it."""
    return hash((*token_ids, seed)) % VOCAB_SIZE


STATE = "state"  # in place of a window: a recurrent group
NOTHING = "nothing"  # likewise, a group that keeps nothing
_KINDS = {None: FULL, STATE: RECURRENT, NOTHING: NONE}


def make_groups(windows: Iterable[int | str | None]) -> tuple[CacheGroup, ...]:
    return tuple(
        CacheGroup(
            index=index,
            kind=_kind(window),
            layers=(index,),
            tensors=key_and_value(1, 1, FLOAT32),
            **({} if window in (STATE, NOTHING) else sight_of(window)),
        )
        for index, window in enumerate(windows)
    )


def _kind(window: int | str | None) -> str:
    if isinstance(window, int):
        return WINDOW
    return _KINDS.get(window, CHUNKED)


class FakeRow:
    def __init__(self, new: NewRow) -> None:
        self.token_ids = list(new.token_ids)
        self.num_computed = new.num_computed
        self.tables = [list(ids) for ids in new.block_ids]
        self.seed = new.seed
        self.pooling = new.pooling


class FakeWorker:
    """Executes plans in order. A slot holds a hash of all tokens up to its own, so any mix-up is seen when read."""

    def __init__(self, groups: Sequence[CacheGroup], num_blocks: Sequence[int], size: int) -> None:
        self.groups = groups
        self.size = size
        self.slots = [[[0] * size for _ in range(count)] for count in num_blocks]
        self.rows: dict[int, FakeRow] = {}
        self.num_computed_tokens = 0

    def execute(self, plan: StepPlan) -> StepResult:
        self._apply_changes(plan)
        drawn = []
        vectors = {}
        assert len(set(plan.rows)) == len(plan.rows), "a row stands twice in a plan"
        for place, (index, num_tokens, samples) in enumerate(
            zip(plan.rows, plan.num_tokens, plan.samples, strict=True)
        ):
            row = self.rows[index]
            assert num_tokens >= 1
            assert row.num_computed + num_tokens <= len(row.token_ids)
            self._move_states(index, row, row.num_computed + num_tokens)
            for _ in range(num_tokens):
                self._compute(index, row)
            has_caught_up = row.num_computed == len(row.token_ids)
            assert samples == (has_caught_up and row.pooling is None)
            assert (place in plan.pools) == (has_caught_up and row.pooling is not None)
            if place in plan.pools:
                vectors[place] = array("f", row.token_ids)
            if samples:
                drawn.append(next_token(row.token_ids, row.seed))
                row.token_ids.append(drawn[-1])
        return StepResult(step_id=plan.step_id, token_ids=drawn, vectors=vectors)

    def _apply_changes(self, plan: StepPlan) -> None:
        for index in plan.removed_rows:
            del self.rows[index]
        for new in plan.new_rows:
            assert new.row not in self.rows, "a new row is in use"
            self.rows[new.row] = FakeRow(new)
        for copy in plan.copies:
            blocks = self.slots[copy.group]
            blocks[copy.target] = list(blocks[copy.source])
        for append in plan.new_blocks:
            self.rows[append.row].tables[append.group] += append.block_ids

    def _move_states(self, index: int, row: FakeRow, stop: int) -> None:
        start = row.num_computed
        for group, table in enumerate(row.tables):
            if self.groups[group].kind == RECURRENT:
                cells = self.slots[group]
                if start:
                    read = cells[table[(start - 1) // self.size]][0]
                    assert read == hash(tuple(row.token_ids[:start])), "read another's state"
                block = table[(stop - 1) // self.size]
                others = (r for i, r in self.rows.items() if i != index)
                assert all(block not in self.live(group, r) for r in others), "wrote a kept state"
                cells[block][0] = hash(tuple(row.token_ids[:stop]))

    def _compute(self, index: int, row: FakeRow) -> None:
        position = row.num_computed
        for group, table in enumerate(row.tables):
            if self.groups[group].kind in (RECURRENT, NONE):
                continue
            block = table[position // self.size]
            others = (r for i, r in self.rows.items() if i != index)
            assert all(block not in self.live(group, r) for r in others), "wrote a shared block"
            self.slots[group][block][position % self.size] = hash(
                tuple(row.token_ids[: position + 1])
            )
            for seen in range(self._first_seen(group, position), position + 1):
                value = self.slots[group][table[seen // self.size]][seen % self.size]
                assert value == hash(tuple(row.token_ids[: seen + 1])), "read another's token"
        row.num_computed += 1
        self.num_computed_tokens += 1

    def live(self, group: int, row: FakeRow) -> list[int]:
        """Blocks that later queries of the row can see."""
        return row.tables[group][self._first_seen(group, row.num_computed) // self.size :]

    def _first_seen(self, group: int, position: int) -> int:
        if self.groups[group].kind == RECURRENT:
            return max(0, position - 1)
        return first_visible(self.groups[group], position)


class Engine:
    """A scheduler and a fake worker with `depth` steps in flight, and a check of the books after every call."""

    def __init__(
        self,
        *,
        windows: Sequence[int | str | None] = (None,),
        num_blocks: int | Sequence[int] = 64,
        block_size: int = 4,
        prefix_caching: bool = True,
        depth: int = 1,
        max_length: int = 64,
        policy: Any = None,
        limits: StepLimits | None = None,
        **settings: Any,
    ) -> None:
        counts = [num_blocks] * len(windows) if isinstance(num_blocks, int) else num_blocks
        groups = make_groups(windows)
        self.settings = SchedulerSettings(**{"watermark": 0.0, **settings})
        self.limits = limits or StepLimits(max_rows=1000, max_step_tokens=100_000)
        self.blocks = BlockManager(groups, counts, block_size, prefix_caching)
        self.scheduler = Scheduler(
            self.settings,
            self.blocks,
            self.limits,
            policy or FcfsPolicy(),
            max_length=max_length,
        )
        self.worker = FakeWorker(groups, counts, block_size)
        self.depth = depth
        self.in_flight: deque[tuple[StepPlan, list[set[int]]]] = deque()
        self.requests: list[Request] = []
        self._submitted: deque[bytes] = deque()
        self._ids = count()

    def request(
        self,
        prompt: Sequence[int] | int,
        *,
        parent: Request | None = None,
        end_token_ids: tuple[int, ...] = (),
        priority: int = 0,
        salt: str = "",
        seed: int = 0,
        pooling: PoolingParams | None = None,
        **sampling: Any,
    ) -> Request:
        """A request; an int stands for that many tokens that no other prompt has."""
        number = next(self._ids)
        ids = (
            [1000 * (number + 1) + i for i in range(prompt)] if isinstance(prompt, int) else prompt
        )
        engine_request = EngineRequest(
            request_id=str(number),
            prompt_token_ids=ids,
            sampling=SamplingParams(**sampling),
            priority=priority,
            pooling=pooling,
            prefix_key=PrefixKey(salt=salt),
        )
        return Request.from_engine_request(
            engine_request, seed=seed, end_token_ids=end_token_ids, parent=parent
        )

    def add(self, prompt: Sequence[int] | int, **values: Any) -> Request:
        request = self.request(prompt, **values)
        self.scheduler.add(request)
        self.requests.append(request)
        return request

    def plan(self) -> StepPlan | None:
        """One call of `schedule`; the plan is in flight afterwards."""
        plan = self.scheduler.schedule()
        self.check_books()
        if plan is not None:
            self._check_plan(plan)
            self.in_flight.append((plan, self._named_blocks(plan)))
            self._submitted.append(pickle.dumps(plan))
        return plan

    def resolve(self, result: StepResult | None = None) -> Sequence[Request]:
        """Execute the oldest plan and apply its result."""
        plan, _ = self.in_flight.popleft()
        assert pickle.dumps(plan) == self._submitted.popleft(), "changed after it was submitted"
        executed = self.worker.execute(plan)
        moved = self.scheduler.update(plan, result or executed)
        self.check_books()
        return moved

    def step(self) -> Sequence[Request]:
        """Fill the pipeline, then resolve one step."""
        while len(self.in_flight) < self.depth and self.plan() is not None:
            pass
        if self.in_flight:
            return self.resolve()
        assert not self.scheduler.has_unfinished, "nothing runs, yet requests wait"
        return ()

    def run(self, before_step: Callable[[], None] = lambda: None, max_steps: int = 5000) -> None:
        """Until all requests ended and nothing is in flight."""
        for _ in range(max_steps):
            before_step()
            self.step()
            if not self.in_flight and not self.scheduler.has_unfinished:
                return
        raise AssertionError(f"not finished after {max_steps} steps: {self.requests}")

    def _check_plan(self, plan: StepPlan) -> None:
        budget = min(self.settings.max_step_tokens, self.limits.max_step_tokens)
        assert sum(plan.num_tokens) <= budget
        assert len(plan.rows) <= min(self.settings.max_rows, self.limits.max_rows)
        named = [blocks for _, blocks in self.in_flight]
        size = self.blocks.block_size
        fresh = [(c.group, c.target) for c in plan.copies]
        # A state is not given out anew where a table only grows: the worker looks at what it reads and writes.
        new_blocks = [a for a in plan.new_blocks if self._is_paged(a.group)]
        fresh += [(a.group, block) for a in new_blocks for block in a.block_ids]
        copied = set(fresh)
        for new in plan.new_rows:
            for group, ids in enumerate(new.block_ids):
                more = ids[-(-new.num_computed // size) :]
                fresh += [(group, block) for block in (more if self._is_paged(group) else more[:1])]
        assert len(set(fresh)) == len(fresh), "a block was given out twice in a plan"
        assert not any(c.group == g and c.source == b for g, b in copied for c in plan.copies)
        for group, block in fresh:
            assert all(block not in blocks[group] for blocks in named), (
                "a block was given out while a step in flight names it"
            )

    def _is_paged(self, group: int) -> bool:
        return self.blocks.groups[group].kind != RECURRENT

    def _named_blocks(self, plan: StepPlan) -> list[set[int]]:
        """Blocks that the rows of the plan hold, and those that it copies."""
        named: list[set[int]] = [set() for _ in self.blocks.groups]
        for request in self.requests:
            if request.table is not None and request.row in plan.rows:
                for group, ids in enumerate(request.table.block_ids):
                    named[group] |= set(ids[request.table.first_held[group] :])
        for copy in plan.copies:
            named[copy.group] |= {copy.source, copy.target}
        return named

    def check_books(self) -> None:
        """Each block has as many owners as references, and is in the free list if and only if it has none."""
        for index, pool in enumerate(self.blocks.pools):
            owners = [0] * pool.num_blocks
            for request in self.requests:
                if request.table is not None:
                    held = request.table.block_ids[index][request.table.first_held[index] :]
                    if not self._is_paged(index):
                        held = [block for block, _ in groupby(held)]
                    assert len(set(held)) == len(held), "a block stands twice in a table"
                    for block in held:
                        owners[block] += 1
            for entries in self.blocks._returning.values():
                for owner_pool, blocks in entries:
                    for block in blocks if owner_pool is pool else ():
                        owners[block] += 1
            assert pool.ref_counts == owners
            free = free_list(pool)
            assert sorted(free) == [block for block, number in enumerate(owners) if number == 0]
            assert len(free) == pool.num_free
        rows = [request.row for request in self.requests if request.table is not None]
        assert len(set(rows)) == len(rows) == self.scheduler.num_running

    def check_all_returned(self) -> None:
        assert all(pool.num_free == pool.num_blocks for pool in self.blocks.pools)
        assert self.scheduler.num_running == self.scheduler.num_waiting == 0


def free_list(pool: Any) -> list[int]:
    """The free blocks in the order in which they will be taken, by both directions of the ring."""
    sentinel = pool.num_blocks
    blocks, block = [], pool._next[sentinel]
    while block != sentinel:
        blocks.append(block)
        block = pool._next[block]
    backwards, block = [], pool._previous[sentinel]
    while block != sentinel:
        backwards.append(block)
        block = pool._previous[block]
    assert backwards == blocks[::-1]
    return blocks


def expected_output(request: Request) -> tuple[list[int], FinishReason]:
    """What the model says without any cache, and why it ends."""
    token_ids = list(request.token_ids[: request.num_prompt_tokens])
    sampling = request.sampling
    while True:
        token_ids.append(next_token(token_ids, request.seed))
        num_output = len(token_ids) - request.num_prompt_tokens
        if token_ids[-1] in request.stop_ids and num_output >= sampling.min_tokens:
            return token_ids[request.num_prompt_tokens :], FinishReason.STOP
        if len(token_ids) == request.max_tokens:
            return token_ids[request.num_prompt_tokens :], FinishReason.LENGTH


@pytest.fixture(scope="session")
def make_engine() -> Callable[..., Engine]:
    return Engine


@pytest.fixture(scope="session")
def expected() -> Callable[[Request], tuple[list[int], FinishReason]]:
    return expected_output
