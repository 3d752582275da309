"""The kit of executors: order, depth, ranks that count, failures that are told, and an end that leaves nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jackfield.discovery.kinds import EXECUTORS
from jackfield.errors import JackfieldError, WorkerError
from jackfield.interfaces.executor import Executor, ExecutorFactory, ExecutorNeed
from jackfield.step import LateInputs, StepPlan, StepResult
from jackfield.testing.conformance.card import CardKit
from jackfield.testing.scripted import SLEEP_S, scripted_context

_ANSWER_S = 20.0  # for any one step: nothing may hang
_END_S = 10.0  # for threads and processes to end after close
_BLOCKS = (4,)

Start = Callable[..., Executor]


class ExecutorKit(CardKit):
    """A third party's test file names the entry point: `name = "mine"`.

    Workers are those of `jackfield.testing.scripted`: they say their rank and fail as told. What an executor of one
    rank cannot show is skipped with what its card says of two.
    """

    kind = EXECUTORS
    settings: ClassVar[Mapping[str, Any]] = {}  # "section.key", for every executor

    @pytest.fixture
    def needs(self) -> tuple[ExecutorNeed, ...]:
        """One rank, some, and more than any machine has."""
        return tuple(ExecutorNeed(num_ranks=n, platform="scripted") for n in (1, 2, 1000))

    @pytest.fixture
    def make(self, card: ExecutorFactory, tmp_path: Path) -> Iterator[Start]:
        """Executors that were not started; all are closed when the test is over."""
        made: list[Executor] = []

        def make(num_ranks: int = 1, **script: Any) -> Executor:
            self.require(ExecutorNeed(num_ranks=num_ranks, platform="scripted"))
            made.append(
                card.create(scripted_context(tmp_path, num_ranks, settings=self.settings, **script))
            )
            return made[-1]

        yield make
        for executor in made:
            executor.close()

    @pytest.fixture
    def start(self, make: Start) -> Start:
        """Executors that can take steps."""

        def start(num_ranks: int = 1, **script: Any) -> Executor:
            executor = make(num_ranks, **script)
            executor.launch()
            executor.start()
            executor.allocate(_BLOCKS)
            return executor

        return start

    # Steps

    @pytest.mark.parametrize("num_ranks", [1, 2])
    def test_the_report_holds_for_all_ranks(self, make: Start, num_ranks: int) -> None:
        """The least memory, the largest blocks, the tightest limits."""
        report = make(num_ranks).start()
        last = num_ranks - 1
        assert (report.cache_bytes, report.block_bytes) == (10_000 - 1000 * last, (100 + last,))
        assert (report.limits.max_rows, report.limits.max_step_tokens) == (8, 64 - last)

    @pytest.mark.parametrize(("num_ranks", "output_rank"), [(1, 0), (2, 0), (2, 1)])
    def test_results_are_those_of_the_output_rank(
        self, start: Start, num_ranks: int, output_rank: int
    ) -> None:
        """Each that of its own step."""
        executor = start(num_ranks, output_rank=output_rank)
        results = [_result(executor.submit(StepPlan(step_id=step))) for step in range(5)]
        assert [result.step_id for result in results] == [*range(5)]
        assert {result.token_ids[0] for result in results} == {output_rank}

    def test_results_come_in_the_order_of_submission(self, start: Start) -> None:
        """Also where the first step takes longest."""
        executor = start(step1="sleep")
        order: list[int] = []
        futures = [executor.submit(StepPlan(step_id=step)) for step in range(executor.depth)]
        for step, future in enumerate(futures):
            future.add_done_callback(partial(_note, order, step))
        assert [_result(future).step_id for future in futures] == [*range(len(futures))]
        assert order == sorted(order)

    def test_a_worker_is_called_by_one_thread(self, start: Start) -> None:
        """From its making to its end: devices and libraries keep state of threads."""
        executor = start()
        results = [_result(executor.submit(StepPlan(step_id=step))) for step in range(3)]
        assert {result.token_ids[1] for result in results} == {1}

    def test_submit_does_not_wait(self, start: Start) -> None:
        """It returns while the worker is busy, as often as steps may be in flight."""
        executor = start(step1="sleep")
        started = time.perf_counter()
        futures = [executor.submit(StepPlan(step_id=step)) for step in range(executor.depth)]
        assert time.perf_counter() - started < SLEEP_S / 2
        for future in futures:
            _result(future)

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_as_many_steps_as_it_says_wait_for_late_inputs(self, start: Start, depth: int) -> None:
        """All are submitted before the first gets its own."""
        executor = start(depth=depth)
        assert executor.depth >= 1
        steps = range(executor.depth)
        futures = [executor.submit(StepPlan(step_id=step, awaits_late=True)) for step in steps]
        assert not any(future.done() for future in futures)
        for step in steps:
            executor.sample(step, LateInputs(masks=dict.fromkeys(range(step + 1), b"\x01")))
        assert [_result(future).token_ids for future in futures] == [[step + 1] for step in steps]

    def test_a_step_is_done_when_its_last_rank_is(self, start: Start) -> None:
        """Though the output rank was faster."""
        future = start(2, rank=1, step1="sleep").submit(StepPlan(step_id=0))
        with pytest.raises(TimeoutError):
            future.result(SLEEP_S / 3)
        _result(future)

    # Failures

    @pytest.mark.parametrize("event", ["create", "load", "allocate"])
    def test_a_worker_that_cannot_start_says_why(self, start: Start, event: str) -> None:
        """Its own words, in an error of jackfield's."""
        with pytest.raises(JackfieldError) as caught:
            start(**{event: "raise"})
        assert f"scripted at {event}" in str(caught.value)

    @pytest.mark.parametrize(("num_ranks", "rank"), [(1, 0), (2, 1)])
    def test_a_step_that_fails_ends_all(self, start: Start, num_ranks: int, rank: int) -> None:
        """That step and every later one is a WorkerError with the worker's own traceback."""
        executor = start(num_ranks, rank=rank, step2="raise")
        _result(executor.submit(StepPlan(step_id=0)))
        for step in (1, 2, 3):
            error = executor.submit(StepPlan(step_id=step)).exception(_ANSWER_S)
            assert isinstance(error, WorkerError)
            assert "scripted at step2" in str(error)
            assert "in submit" in str(error), "the worker's own traceback is missing"

    @pytest.mark.parametrize("action", ["exit", "vanish", "kill"])
    def test_a_process_that_ends_ends_all(self, start: Start, tmp_path: Path, action: str) -> None:
        """Where ranks have processes of their own; nobody waits for what cannot come."""
        start().close()  # so that it is known before anything is killed
        if _pids(tmp_path) == [os.getpid()]:
            pytest.skip("its worker runs in the process of the engine")
        executor = start(step2=action)
        _result(executor.submit(StepPlan(step_id=0)))
        for step in (1, 2):
            error = executor.submit(StepPlan(step_id=step)).exception(_ANSWER_S)
            assert isinstance(error, WorkerError)

    # The end

    def test_closing_twice_is_closing(self, start: Start, tmp_path: Path) -> None:
        """The worker is closed, once."""
        executor = start()
        executor.close()
        executor.close()
        assert (tmp_path / "closed0").exists()

    def test_what_was_not_started_can_be_closed(self, make: Start) -> None:
        """An engine may fail between the two."""
        make().close()

    def test_closing_resolves_what_is_open(self, start: Start) -> None:
        """A step whose late inputs never came is an error."""
        executor = start()
        future = executor.submit(StepPlan(step_id=0, awaits_late=True))
        executor.close()
        assert isinstance(future.exception(_ANSWER_S), JackfieldError)

    @pytest.mark.parametrize("num_ranks", [1, 2])
    def test_nothing_is_left_after_close(
        self, start: Start, tmp_path: Path, num_ranks: int
    ) -> None:
        """No thread and no process, whether all went well or not."""
        start(num_ranks).close()  # what stays for good is started by the first
        threads = threading.active_count()
        for script in ({}, {"step1": "raise"}):
            executor = start(num_ranks, **script)
            executor.submit(StepPlan(step_id=0)).exception(_ANSWER_S)
            executor.close()
        others = [pid for pid in _pids(tmp_path) if pid != os.getpid()]
        assert _settled(lambda: not any(map(_is_running, others))), "processes live on"
        assert _settled(lambda: threading.active_count() <= threads), "threads live on"


def _result(future: Future[StepResult]) -> StepResult:
    return future.result(_ANSWER_S)


def _note(order: list[int], step: int, _: Future[StepResult]) -> None:
    order.append(step)


def _pids(folder: Path) -> list[int]:
    """Of the workers that were made last, one a rank."""
    return [int(file.read_text()) for file in sorted(folder.glob("pid*"))]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _settled(is_true: Callable[[], bool]) -> bool:
    until = time.monotonic() + _END_S
    while not is_true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
