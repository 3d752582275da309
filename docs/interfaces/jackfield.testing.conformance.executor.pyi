# Part of: jackfield 0.1
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import ClassVar
import pytest
from jackfield.discovery.kinds import EXECUTORS
from jackfield.interfaces.executor import Executor
from jackfield.interfaces.executor import ExecutorFactory
from jackfield.interfaces.executor import ExecutorNeed
from jackfield.testing.conformance.card import CardKit
Start = Callable[..., Executor]
class ExecutorKit(CardKit):
    kind = EXECUTORS
    settings: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def needs(self) -> tuple[ExecutorNeed, ...]:
        ...

    @pytest.fixture
    def make(self, card: ExecutorFactory, tmp_path: Path) -> Iterator[Start]:
        ...

    @pytest.fixture
    def start(self, make: Start) -> Start:
        ...

    @pytest.mark.parametrize('num_ranks', [1, 2])
    def test_the_report_holds_for_all_ranks(self, make: Start, num_ranks: int) -> None:
        ...

    @pytest.mark.parametrize(('num_ranks', 'output_rank'), [(1, 0), (2, 0), (2, 1)])
    def test_results_are_those_of_the_output_rank(self, start: Start, num_ranks: int, output_rank: int) -> None:
        ...

    def test_results_come_in_the_order_of_submission(self, start: Start) -> None:
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

    @pytest.mark.parametrize(('num_ranks', 'rank'), [(1, 0), (2, 1)])
    def test_a_step_that_fails_ends_all(self, start: Start, num_ranks: int, rank: int) -> None:
        ...

    @pytest.mark.parametrize('action', ['exit', 'vanish', 'kill'])
    def test_a_process_that_ends_ends_all(self, start: Start, tmp_path: Path, action: str) -> None:
        ...

    def test_closing_twice_is_closing(self, start: Start, tmp_path: Path) -> None:
        ...

    def test_what_was_not_started_can_be_closed(self, make: Start) -> None:
        ...

    def test_closing_resolves_what_is_open(self, start: Start) -> None:
        ...

    @pytest.mark.parametrize('num_ranks', [1, 2])
    def test_nothing_is_left_after_close(self, start: Start, tmp_path: Path, num_ranks: int) -> None:
        ...
