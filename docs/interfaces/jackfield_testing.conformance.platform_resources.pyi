# Part of: jackfield_testing 0.1
from pathlib import Path
import pytest
from jackfield.interfaces.platform import Platform
from jackfield_testing.conformance.platform_runs import PlatformRuns
class ResourceTests(PlatformRuns):

    def used_bytes(self) -> int:
        ...

    def settled_bytes(self) -> int:
        ...

    def test_many_rows_are_answered_as_each_alone(self, tmp_path: Path) -> None:
        ...

    def test_the_first_token_of_a_long_prompt_counts(self, tmp_path: Path) -> None:
        ...

    def test_outputs_of_one_prompt_copy_the_block_in_which_they_part(self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ...

    def test_an_idle_engine_goes_on(self, tmp_path: Path) -> None:
        ...

    def test_two_engines_at_once(self, tmp_path: Path) -> None:
        ...

    def test_two_ranks_give_the_answers_of_one(self, tmp_path: Path) -> None:
        ...

    @pytest.mark.parametrize('depth', [2, 3])
    def test_results_resolve_in_order(self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
        ...

    @pytest.mark.parametrize('method', ['load', 'allocate'])
    def test_a_worker_that_cannot_start_can_be_closed(self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str) -> None:
        ...

    def test_requests_leave_no_memory(self, tmp_path: Path) -> None:
        ...

    def test_engines_leave_no_memory(self, tmp_path: Path) -> None:
        ...

    def open_and_close(self, folder: Path) -> None:
        ...

    def test_an_engine_takes_no_more_than_its_blocks_need(self, tmp_path: Path) -> None:
        ...
