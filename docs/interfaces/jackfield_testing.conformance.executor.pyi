# Part of: jackfield_testing 0.1
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from typing import ClassVar
import pytest
from jackfield.discovery.kinds import EXECUTORS
from jackfield.interfaces.executor import Executor
from jackfield.interfaces.executor import ExecutorFactory
from jackfield.interfaces.executor import ExecutorNeed
from jackfield.step import StepResult
from jackfield_testing.conformance.card import CardKit
Start = Callable[..., Executor]
class ExecutorKit(CardKit):
    kind = EXECUTORS
    settings: ClassVar[Mapping[str, Any]] = {}
    answer_s: ClassVar[float] = 20.0

    @pytest.fixture
    def needs(self) -> tuple[ExecutorNeed, ...]:
        ...

    @pytest.fixture
    def make(self, card: ExecutorFactory, tmp_path: Path) -> Iterator[Start]:
        ...

    @pytest.fixture
    def start(self, make: Start) -> Start:
        ...

    def result(self, future: Future[StepResult]) -> StepResult:
        ...

    def error(self, future: Future[StepResult]) -> BaseException | None:
        ...

    def signs(self, folder: Path, name: str, num_ranks: int=1) -> list[str]:
        ...

    def require_process(self, folder: Path) -> None:
        ...

    @pytest.mark.parametrize('num_ranks', [1, 2])
    def test_the_report_holds_for_all_ranks(self, make: Start, num_ranks: int) -> None:
        ...

    @pytest.mark.parametrize('num_ranks', [1, 2])
    def test_ranks_know_what_they_are_part_of(self, make: Start, tmp_path: Path, num_ranks: int) -> None:
        ...

    @pytest.mark.parametrize('num_ranks', [1, 2])
    def test_all_ranks_make_the_blocks_that_were_decided(self, start: Start, tmp_path: Path, num_ranks: int) -> None:
        ...

    @pytest.mark.parametrize('num_ranks', [1, 2])
    def test_plans_and_results_arrive_whole(self, start: Start, num_ranks: int) -> None:
        ...

    @pytest.mark.parametrize(('num_ranks', 'output_rank'), [(1, 0), (2, 0), (2, 1)])
    def test_late_inputs_arrive_whole(self, start: Start, num_ranks: int, output_rank: int) -> None:
        ...

    @pytest.mark.parametrize(('num_ranks', 'output_rank'), [(1, 0), (2, 0), (2, 1)])
    def test_results_are_those_of_the_output_rank(self, start: Start, num_ranks: int, output_rank: int) -> None:
        ...

    def test_results_come_in_the_order_of_submission(self, start: Start) -> None:
        ...

    def test_results_of_three_in_flight_come_in_order(self, start: Start) -> None:
        ...

    def check_order(self, executor: Executor) -> None:
        ...

    def test_a_worker_is_called_by_one_thread(self, start: Start) -> None:
        ...

    def test_submit_does_not_wait(self, start: Start) -> None:
        ...

    @pytest.mark.parametrize('depth', [1, 2, 3])
    def test_as_many_steps_as_it_says_wait_for_late_inputs(self, start: Start, depth: int) -> None:
        ...

    def test_a_step_is_done_when_its_last_rank_is(self, start: Start) -> None:
        ...

    @pytest.mark.parametrize('event', ['create', 'load', 'allocate'])
    def test_a_worker_that_cannot_start_says_why(self, start: Start, event: str) -> None:
        ...

    def test_an_error_on_purpose_comes_as_it_is(self, start: Start) -> None:
        ...

    @pytest.mark.parametrize('event', ['load', 'allocate'])
    def test_a_worker_that_hangs_while_it_starts_is_given_up(self, make: Start, tmp_path: Path, event: str) -> None:
        ...

    def test_ranks_refuse_an_activation_plan_that_is_not_the_engines(self, card: ExecutorFactory, make: Start, tmp_path: Path) -> None:
        ...

    @pytest.mark.parametrize(('num_ranks', 'rank'), [(1, 0), (2, 1)])
    def test_a_step_that_fails_ends_all(self, start: Start, num_ranks: int, rank: int) -> None:
        ...

    def test_an_error_that_cannot_be_carried_is_told(self, start: Start) -> None:
        ...

    @pytest.mark.parametrize('action', ['exit', 'vanish', 'kill'])
    def test_a_process_that_ends_ends_all(self, start: Start, tmp_path: Path, action: str) -> None:
        ...

    def test_another_rank_that_is_killed_ends_all(self, start: Start, tmp_path: Path) -> None:
        ...

    def check_end(self, executor: Executor, folder: Path) -> None:
        ...

    def test_closing_twice_is_closing(self, start: Start, tmp_path: Path) -> None:
        ...

    def test_a_worker_is_closed_on_its_thread(self, start: Start, tmp_path: Path) -> None:
        ...

    @pytest.mark.parametrize('event', ['load', 'allocate', 'step1'])
    def test_a_worker_that_failed_is_closed_too(self, make: Start, tmp_path: Path, event: str) -> None:
        ...

    def test_what_was_not_started_can_be_closed(self, make: Start) -> None:
        ...

    def test_closing_resolves_what_is_open(self, start: Start) -> None:
        ...

    def test_closing_does_not_wait_for_what_hangs(self, start: Start) -> None:
        ...

    def test_a_step_after_the_end_is_an_error(self, start: Start) -> None:
        ...

    def test_two_live_side_by_side(self, make: Start) -> None:
        ...

    @pytest.mark.parametrize('num_ranks', [1, 2])
    def test_nothing_is_left_after_close(self, start: Start, tmp_path: Path, num_ranks: int) -> None:
        ...
