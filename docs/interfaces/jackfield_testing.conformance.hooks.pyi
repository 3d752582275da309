# Part of: jackfield_testing 0.1
from pathlib import Path
from typing import Any
import pytest
from jackfield.discovery.kinds import HOOKS
from jackfield.request import FinishReason
from jackfield_testing.conformance.kit import ConformanceKit
class HooksKit(ConformanceKit):
    kind = HOOKS

    @pytest.fixture
    def tell(self, card: Any) -> Any:
        ...

    def test_it_observes_something(self, card: Any) -> None:
        ...

    def test_its_hooks_are_those_that_exist(self, card: Any) -> None:
        ...

    def test_it_survives_every_step(self, tell: Any) -> None:
        ...

    @pytest.mark.parametrize('reason', FinishReason)
    def test_it_survives_every_end_of_a_request(self, tell: Any, reason: FinishReason) -> None:
        ...

    @pytest.mark.parametrize('error', [None, RuntimeError('no more'), KeyboardInterrupt()], ids=repr)
    def test_it_survives_every_end_of_an_engine(self, tell: Any, error: BaseException | None) -> None:
        ...

    def test_it_changes_nothing_that_it_is_told(self, tell: Any) -> None:
        ...

    def test_it_holds_up_no_step(self, tell: Any) -> None:
        ...

    @pytest.mark.parametrize('hook', _MOST_S)
    def test_no_hook_holds_up_the_engine(self, tell: Any, hook: str) -> None:
        ...

    def taken_s(self, tell: Any, hook: str) -> float:
        ...

    def test_it_leaves_no_thread(self, tell: Any) -> None:
        ...

    def test_it_prints_nothing(self, tell: Any, capsys: pytest.CaptureFixture[str]) -> None:
        ...

    def test_it_leaves_logging_alone(self, tell: Any) -> None:
        ...

    def test_it_lasts_through_a_whole_engine(self, card: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        ...

    def test_answers_do_not_depend_on_it(self, tmp_path: Path) -> None:
        ...

    def answers(self, folder: Path, *, is_observed: bool) -> list[tuple[str, list[int]]]:
        ...
