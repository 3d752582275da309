"""The kit of executors: messages arrive whole, order, depth, merged reports, reported failures, and a clean end."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jackfield.discovery.kinds import EXECUTORS
from jackfield.errors import CheckpointError, JackfieldError, WorkerError
from jackfield.interfaces.executor import Executor, ExecutorFactory, ExecutorNeed
from jackfield.step import LateInputs, StepPlan, StepResult, TokenMasks
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.scripted import SLEEP_S, lying_context, release, scripted_context
from jackfield_testing.whole_step import described, whole_late, whole_plan, whole_result

_END_S = 5.0  # for threads and processes to end after close
_BUSY_S = 1.0  # a step takes so long that submitting further steps takes less, even over a network
_GIVE_UP_S = 1.0  # start_timeout_s and close_timeout_s if a worker hangs
_SLACK_S = 5.0  # additional time: a machine may be busy, and processes take a moment to end
_BLOCKS = (4, 7)

Start = Callable[..., Executor]


class ExecutorKit(CardKit):
    """A third party's test file names the entry point: `name = "mine"`.

    The workers are those of `jackfield_testing.scripted`: they report their rank and what reached them, and fail as
    told. A test that needs two ranks is skipped if the card refuses them; its reasons are shown.
    """

    kind = EXECUTORS
    settings: ClassVar[Mapping[str, Any]] = {}  # "section.key", for every executor
    answer_s: ClassVar[float] = 20.0  # most time for any single step: nothing may hang

    @pytest.fixture
    def needs(self) -> tuple[ExecutorNeed, ...]:
        """One rank, some ranks, and more ranks than any machine has."""
        return tuple(ExecutorNeed(num_ranks=n, platform="scripted") for n in (1, 2, 1000))

    @pytest.fixture
    def make(self, card: ExecutorFactory, tmp_path: Path) -> Iterator[Start]:
        """Makes executors that are not started. All are closed after the test."""
        made: list[Executor] = []

        def make(num_ranks: int = 1, **script: Any) -> Executor:
            self.require(ExecutorNeed(num_ranks=num_ranks, platform="scripted"))
            made.append(
                card.create(scripted_context(tmp_path, num_ranks, settings=self.settings, **script))
            )
            return made[-1]

        yield make
        release(tmp_path)
        for executor in made:
            executor.close()

    @pytest.fixture
    def start(self, make: Start) -> Start:
        """Makes executors that are started."""

        def start(num_ranks: int = 1, **script: Any) -> Executor:
            executor = make(num_ranks, **script)
            executor.launch()
            executor.start()
            executor.allocate(_BLOCKS)
            return executor

        return start

    def result(self, future: Future[StepResult]) -> StepResult:
        """The result of a step, which must arrive."""
        return future.result(self.answer_s)

    def error(self, future: Future[StepResult]) -> BaseException | None:
        """The error of a failed step, which must be reported."""
        return future.exception(self.answer_s)

    def signs(self, folder: Path, name: str, num_ranks: int = 1) -> list[str]:
        """The text that the workers wrote. Skips the test if they wrote it elsewhere."""
        if not (folder / "pid0").exists():
            self.not_shown("its workers leave their signs where the kit cannot see them")
        files = [folder / f"{name}{rank}" for rank in range(num_ranks)]
        return [file.read_text() if file.exists() else "" for file in files]

    def require_process(self, folder: Path) -> None:
        """Skip the test if the worker that was made last runs in the process of the engine."""
        if self.signs(folder, "pid")[0] == _sign(os.getpid()):
            pytest.skip("its worker runs in the process of the engine")

    # What crosses

    @pytest.mark.parametrize("num_ranks", [1, 2])
    def test_the_report_holds_for_all_ranks(self, make: Start, num_ranks: int) -> None:
        """The report has the least memory, the largest blocks and the tightest limits."""
        report = make(num_ranks).start()
        last = num_ranks - 1
        assert (report.cache_bytes, report.block_bytes) == (10_000 - 1000 * last, (100 + last,))
        assert (report.limits.max_rows, report.limits.max_step_tokens) == (8, 64 - last)

    @pytest.mark.parametrize("num_ranks", [1, 2])
    def test_ranks_know_what_they_are_part_of(
        self, make: Start, tmp_path: Path, num_ranks: int
    ) -> None:
        """Each rank knows how many ranks there are, where they meet, and which plugins the engine chose."""
        details = make(num_ranks).start().details
        assert details["num_ranks"] == str(num_ranks)
        assert details["digest"] == scripted_context(tmp_path).activation.digest
        assert details["rendezvous"] or num_ranks == 1, "ranks have no place to meet"

    @pytest.mark.parametrize("num_ranks", [1, 2])
    def test_all_ranks_make_the_blocks_that_were_decided(
        self, start: Start, tmp_path: Path, num_ranks: int
    ) -> None:
        """Otherwise a rank would write past the end of its cache."""
        start(num_ranks)
        assert self.signs(tmp_path, "blocks", num_ranks) == [described(_BLOCKS)] * num_ranks

    @pytest.mark.parametrize("num_ranks", [1, 2])
    def test_plans_and_results_arrive_whole(self, start: Start, num_ranks: int) -> None:
        """All fields arrive, also of a plan that has only its number."""
        executor = start(num_ranks)
        bare, whole = StepPlan(step_id=0), replace(whole_plan(1), awaits_late=False)
        for plan in (bare, whole):
            result = self.result(executor.submit(plan))
            expected = whole_result(plan.step_id, result.token_ids, {"plan": described(plan)})
            assert described(result) == described(expected)

    @pytest.mark.parametrize(("num_ranks", "output_rank"), [(1, 0), (2, 0), (2, 1)])
    def test_late_inputs_arrive_whole(self, start: Start, num_ranks: int, output_rank: int) -> None:
        """All fields arrive, on all ranks."""
        executor, plan, late = (
            start(num_ranks, output_rank=output_rank),
            whole_plan(0),
            whole_late(),
        )
        future = executor.submit(plan)
        executor.sample(0, late)
        sections = self.result(future).sections
        assert sections == {"plan": described(plan), "late": described(late)}

    # Steps

    @pytest.mark.parametrize(("num_ranks", "output_rank"), [(1, 0), (2, 0), (2, 1)])
    def test_results_are_those_of_the_output_rank(
        self, start: Start, num_ranks: int, output_rank: int
    ) -> None:
        """Each result belongs to its own step."""
        executor = start(num_ranks, output_rank=output_rank)
        results = [self.result(executor.submit(StepPlan(step_id=step))) for step in range(5)]
        assert [result.step_id for result in results] == [*range(5)]
        assert {result.token_ids[0] for result in results} == {output_rank}

    def test_results_come_in_the_order_of_submission(self, start: Start) -> None:
        """The order holds even if the first step takes longest."""
        self.check_order(start(step1="sleep"))

    def test_results_of_three_in_flight_come_in_order(self, start: Start) -> None:
        """The pipeline is filled several times."""
        self.check_order(start(depth=3, step1="sleep"))

    def check_order(self, executor: Executor) -> None:
        """Fill the pipeline a few times."""
        order: list[int] = []
        for first in range(0, 3 * executor.depth, executor.depth):
            steps = range(first, first + executor.depth)
            futures = [executor.submit(StepPlan(step_id=step)) for step in steps]
            for step, future in zip(steps, futures, strict=True):
                future.add_done_callback(partial(_note, order, step))
            assert [self.result(future).step_id for future in futures] == [*steps]
        assert order == sorted(order)

    def test_a_worker_is_called_by_one_thread(self, start: Start) -> None:
        """From the first call to the last step: devices and libraries keep state for each thread."""
        executor = start()
        results = [self.result(executor.submit(StepPlan(step_id=step))) for step in range(3)]
        assert {result.token_ids[1] for result in results} == {1}

    def test_submit_does_not_wait(self, start: Start) -> None:
        """`submit` returns while the worker is busy, as often as steps may be in flight."""
        executor = start(step1="sleep", sleep_s=_BUSY_S)
        futures = [executor.submit(StepPlan(step_id=step)) for step in range(executor.depth)]
        assert not futures[0].done(), "the first step was over before the last was taken"
        for future in futures:
            self.result(future)

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_as_many_steps_as_it_says_wait_for_late_inputs(self, start: Start, depth: int) -> None:
        """All steps are submitted before the first one gets its late inputs."""
        executor = start(depth=depth)
        assert executor.depth >= 1
        steps = range(executor.depth)
        futures = [executor.submit(StepPlan(step_id=step, awaits_late=True)) for step in steps]
        assert not any(future.done() for future in futures)
        for step in steps:
            executor.sample(
                step, LateInputs(masks=TokenMasks(range(step + 1), bytes(4 * (step + 1))))
            )
        assert [self.result(future).token_ids for future in futures] == [
            [step + 1] for step in steps
        ]

    def test_a_step_is_done_when_its_last_rank_is(self, start: Start) -> None:
        """The step is not done earlier if the output rank is faster."""
        future = start(2, rank=1, step1="sleep").submit(StepPlan(step_id=0))
        with pytest.raises(TimeoutError):
            future.result(SLEEP_S / 3)
        self.result(future)

    # Failures

    @pytest.mark.parametrize("event", ["create", "load", "allocate"])
    def test_a_worker_that_cannot_start_says_why(self, start: Start, event: str) -> None:
        """The worker's own words stand in an error of jackfield's."""
        with pytest.raises(JackfieldError) as caught:
            start(**{event: "raise"})
        assert f"scripted at {event}" in str(caught.value)

    def test_an_error_on_purpose_comes_as_it_is(self, start: Start) -> None:
        """A broken checkpoint, for example, explains itself best."""
        with pytest.raises(CheckpointError, match=r"model\.bin: too short"):
            start(load="raise_on_purpose")

    @pytest.mark.parametrize("event", ["load", "allocate"])
    def test_a_worker_that_hangs_while_it_starts_is_given_up(
        self, make: Start, tmp_path: Path, event: str
    ) -> None:
        """The limit is executor.start_timeout_s."""
        executor = make(start_timeout_s=_GIVE_UP_S, **{event: "hang"})
        executor.launch()

        def begin() -> None:
            executor.start()
            executor.allocate(_BLOCKS)

        with pytest.raises(WorkerError):
            _within(_GIVE_UP_S + _SLACK_S, begin)
        release(tmp_path)

    def test_ranks_refuse_an_activation_plan_that_is_not_the_engines(
        self, card: ExecutorFactory, make: Start, tmp_path: Path
    ) -> None:
        """Ranks in processes of their own compare the digest that they compute with the engine's."""
        executor = card.create(lying_context(scripted_context(tmp_path, settings=self.settings)))
        try:
            executor.start()
        except JackfieldError:
            return
        finally:
            executor.close()
        self.require_process(tmp_path)
        pytest.fail("a rank ran other plugins than the engine decided on")

    @pytest.mark.parametrize(("num_ranks", "rank"), [(1, 0), (2, 1)])
    def test_a_step_that_fails_ends_all(self, start: Start, num_ranks: int, rank: int) -> None:
        """That step and every later one fails with a WorkerError that has the worker's own traceback."""
        executor = start(num_ranks, rank=rank, step2="raise")
        self.result(executor.submit(StepPlan(step_id=0)))
        for step in (1, 2, 3):
            error = self.error(executor.submit(StepPlan(step_id=step)))
            assert isinstance(error, WorkerError)
            assert "scripted at step2" in str(error)
            assert "in submit" in str(error), "the worker's own traceback is missing"

    def test_an_error_that_cannot_be_carried_is_told(self, start: Start) -> None:
        """An error whose class cannot be pickled is reported too."""
        error = self.error(start(step1="raise_unpicklable").submit(StepPlan(step_id=0)))
        assert isinstance(error, WorkerError)
        assert "Unpicklable" in str(error)

    @pytest.mark.parametrize("action", ["exit", "vanish", "kill"])
    def test_a_process_that_ends_ends_all(self, start: Start, tmp_path: Path, action: str) -> None:
        """If ranks have processes of their own, no step waits for a result that cannot come."""
        self.check_end(start(step2=action), tmp_path)

    def test_another_rank_that_is_killed_ends_all(self, start: Start, tmp_path: Path) -> None:
        """All steps fail although the output rank lives."""
        self.check_end(start(2, rank=1, step2="kill"), tmp_path)

    def check_end(self, executor: Executor, folder: Path) -> None:
        """Check that the second step is the end of a process."""
        self.require_process(folder)  # otherwise this process would end
        self.result(executor.submit(StepPlan(step_id=0)))
        for step in (1, 2):
            error = self.error(executor.submit(StepPlan(step_id=step)))
            assert isinstance(error, WorkerError)

    # The end

    def test_closing_twice_is_closing(self, start: Start, tmp_path: Path) -> None:
        """The worker is closed once."""
        executor = start()
        executor.close()
        executor.close()
        assert len(self.signs(tmp_path, "closed")[0].splitlines()) == 1

    def test_a_worker_is_closed_on_its_thread(self, start: Start, tmp_path: Path) -> None:
        """The thread is the one that made the worker and ran its steps."""
        executor = start()
        self.result(executor.submit(StepPlan(step_id=0)))
        executor.close()
        assert self.signs(tmp_path, "closed")[0].startswith("1\n")

    @pytest.mark.parametrize("event", ["load", "allocate", "step1"])
    def test_a_worker_that_failed_is_closed_too(
        self, make: Start, tmp_path: Path, event: str
    ) -> None:
        """It is closed once. If it has a process of its own, the end of that process is enough."""
        executor = make(**{event: "raise"})
        try:
            executor.start()
            executor.allocate(_BLOCKS)
            self.error(executor.submit(StepPlan(step_id=0)))
        except JackfieldError:
            pass
        executor.close()
        is_own = self.signs(tmp_path, "pid")[0] != _sign(os.getpid())
        assert self.signs(tmp_path, "closed")[0] in (("", "1\n") if is_own else ("1\n",))

    def test_what_was_not_started_can_be_closed(self, make: Start) -> None:
        """An engine may fail before it starts the executor."""
        make().close()

    def test_closing_resolves_what_is_open(self, start: Start) -> None:
        """A step whose late inputs never came gets an error."""
        executor = start()
        future = executor.submit(StepPlan(step_id=0, awaits_late=True))
        executor.close()
        assert isinstance(self.error(future), JackfieldError)

    def test_closing_does_not_wait_for_what_hangs(self, start: Start) -> None:
        """It waits at most executor.close_timeout_s; the step gets an error."""
        executor = start(close_timeout_s=_GIVE_UP_S, step1="hang")
        future = executor.submit(StepPlan(step_id=0))
        _within(_GIVE_UP_S + _SLACK_S, executor.close)
        assert isinstance(self.error(future), JackfieldError)

    def test_a_step_after_the_end_is_an_error(self, start: Start) -> None:
        """The future has the error; nothing is raised."""
        executor = start()
        executor.close()
        assert isinstance(self.error(executor.submit(StepPlan(step_id=0))), JackfieldError)

    def test_two_live_side_by_side(self, make: Start) -> None:
        """Both run in one process, and the end of one does not end the other."""
        both = [make(), make()]
        for executor in both:
            executor.launch()
        for executor in both:
            executor.start()
            executor.allocate(_BLOCKS)
        for executor in (*both, *both):
            assert self.result(executor.submit(StepPlan(step_id=0))).step_id == 0
        both[1].close()
        assert self.result(both[0].submit(StepPlan(step_id=1))).step_id == 1

    @pytest.mark.parametrize("num_ranks", [1, 2])
    def test_nothing_is_left_after_close(
        self, start: Start, tmp_path: Path, num_ranks: int
    ) -> None:
        """No thread, process or open file is left, whether all went well or not."""
        start(num_ranks).close()  # the first executor starts threads that stay for good
        threads, files = threading.active_count(), _num_files()
        for script in ({}, {"step1": "raise"}):
            executor = start(num_ranks, **script)
            self.error(executor.submit(StepPlan(step_id=0)))
            executor.close()
        others = [pid for pid in _pids(tmp_path) if pid != os.getpid()]
        assert _settled(lambda: not any(map(_is_running, others))), "processes live on"
        assert _settled(lambda: threading.active_count() <= threads), "threads live on"
        assert _settled(lambda: _num_files() <= files), "files stay open"


def _note(order: list[int], step: int, _: Future[StepResult]) -> None:
    order.append(step)


def _sign(pid: int) -> str:
    """The text that workers write."""
    return f"{pid} {socket.gethostname()}"


def _pids(folder: Path) -> list[int]:
    """Process ids of the workers on this machine that were made last, one for each rank."""
    signs = [file.read_text().split(maxsplit=1) for file in sorted(folder.glob("pid*"))]
    return [int(pid) for pid, host in signs if host == socket.gethostname()]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's process, so it exists
        return True
    return True


def _num_files() -> int:
    """Number of open files of this process; 0 if the system does not tell."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def _within(seconds: float, do: Callable[[], object]) -> None:
    """Run `do` on another thread, so that a hang does not hang the tests. Its error is raised here."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            do()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, daemon=True).start()
    if not _settled(done.done, seconds):
        pytest.fail(f"it hangs: not over after {seconds:g} s")
    done.result()


def _settled(is_true: Callable[[], bool], seconds: float = _END_S) -> bool:
    until = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
