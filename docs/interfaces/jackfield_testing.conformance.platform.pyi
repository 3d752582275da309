# Part of: jackfield_testing 0.1
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import ClassVar
import pytest
from jackfield.client import LLM
from jackfield.discovery.kinds import PLATFORMS
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.platform import PlatformNeed
from jackfield.interfaces.worker import Worker
from jackfield.sampling import SamplingParams
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.conformance.platform_resources import ResourceTests
from jackfield_testing.conformance.platform_runs import GREEDY as _GREEDY
from jackfield_testing.conformance.platform_runs import RANDOM as _RANDOM
from jackfield_testing.conformance.platform_sampling import SamplingTests
Change = Callable[[Worker], object]
class PlatformKit(SamplingTests, ResourceTests, CardKit):
    kind = PLATFORMS
    dtype: ClassVar[str] = 'float32'
    settings: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def needs(self) -> tuple[PlatformNeed, ...]:
        ...

    def write_model(self, folder: Path) -> None:
        ...

    def open(self, folder: Path, settings: Mapping[str, Any] | None=None) -> LLM:
        ...

    @pytest.mark.parametrize('params', [_GREEDY, _RANDOM], ids=['greedy', 'drawn'])
    @pytest.mark.parametrize('schedule', _SCHEDULES)
    def test_answers_do_not_depend_on_the_schedule(self, tmp_path: Path, schedule: str, params: SamplingParams) -> None:
        ...

    def settings_of(self, schedule: str) -> Mapping[str, Any]:
        ...

    def test_other_prompts_have_other_answers(self, tmp_path: Path) -> None:
        ...

    def test_every_token_of_a_prompt_counts(self, tmp_path: Path) -> None:
        ...

    def test_a_seed_repeats_its_answer_and_another_does_not(self, tmp_path: Path) -> None:
        ...

    def test_outputs_of_one_prompt_go_their_own_ways(self, tmp_path: Path) -> None:
        ...

    def test_a_stop_token_ends_an_answer(self, tmp_path: Path) -> None:
        ...

    def test_log_probabilities_are_those_of_a_distribution(self, tmp_path: Path) -> None:
        ...

    def test_log_probabilities_do_not_depend_on_the_batch(self, tmp_path: Path) -> None:
        ...

    def test_a_request_that_is_withdrawn_leaves_no_trace(self, tmp_path: Path) -> None:
        ...

    def test_a_bad_request_ends_alone(self, tmp_path: Path) -> None:
        ...

    @pytest.mark.parametrize('step', [0, 3])
    def test_a_worker_that_fails_ends_the_engine(self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
        ...

    def test_closing_twice_is_closing(self, tmp_path: Path) -> None:
        ...

    def test_a_closed_engine_gives_all_back(self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ...

    def test_free_memory_is_looked_for_in_every_process(self, card: Platform) -> None:
        ...

    def test_its_defaults_are_settings(self, card: Platform) -> None:
        ...

    def test_its_choices_are_pure(self, card: Platform) -> None:
        ...

    def test_its_report_can_be_planned_with(self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ...
