# Part of: jackfield_testing 0.1
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
import pytest
from jackfield.discovery.kinds import MODEL_SOURCES
from jackfield.interfaces.model_source import ModelReference
from jackfield.interfaces.model_source import ModelSource
from jackfield_testing.conformance.card import CardKit
@dataclass(frozen=True, slots=True, kw_only=True)
class SampleModel:
    text: str
    files: Mapping[str, bytes]
    missing: str
    broken: str = ''
    cache: Path | None = None
    slow: str = ''
    revisions: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
class ModelSourceKit(CardKit):
    kind = MODEL_SOURCES

    @pytest.fixture
    def sample(self, tmp_path: Path) -> SampleModel:
        ...

    @pytest.fixture
    def cache(self, sample: SampleModel, tmp_path: Path) -> Path:
        ...

    @pytest.fixture
    def reference(self, sample: SampleModel, cache: Path) -> ModelReference:
        ...

    @pytest.fixture
    def needs(self, sample: SampleModel, cache: Path) -> tuple[ModelReference, ...]:
        ...

    def test_its_own_references_are_taken(self, card: ModelSource, sample: SampleModel) -> None:
        ...

    def test_another_form_is_left_to_other_sources(self, card: ModelSource) -> None:
        ...

    @pytest.mark.parametrize('text', _ODD.values(), ids=_ODD)
    def test_check_answers_whatever_a_user_writes(self, card: ModelSource, text: str) -> None:
        ...

    def test_check_fetches_nothing(self, card: ModelSource, reference: ModelReference, monkeypatch: pytest.MonkeyPatch) -> None:
        ...

    def test_a_reference_leads_to_its_files(self, card: ModelSource, reference: ModelReference, sample: SampleModel) -> None:
        ...

    def test_a_second_time_fetches_nothing_again(self, card: ModelSource, reference: ModelReference) -> None:
        ...

    def test_what_was_fetched_is_there_without_a_network(self, card: ModelSource, reference: ModelReference, sample: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
        ...

    def test_what_was_fetched_is_read_from_a_cache_that_cannot_be_written(self, card: ModelSource, reference: ModelReference) -> None:
        ...

    def test_nothing_is_left_elsewhere(self, card: ModelSource, sample: SampleModel, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ...

    def test_the_process_is_left_as_it_was(self, reference: ModelReference) -> None:
        ...

    def test_a_revision_is_a_model_of_its_own(self, card: ModelSource, sample: SampleModel, cache: Path) -> None:
        ...

    def test_a_revision_that_is_not_there_is_an_error(self, card: ModelSource, sample: SampleModel, cache: Path) -> None:
        ...

    def test_two_may_ask_at_once(self, card: ModelSource, reference: ModelReference, sample: SampleModel) -> None:
        ...

    def test_processes_may_ask_at_once(self, sample: SampleModel, cache: Path) -> None:
        ...

    def test_a_fetch_that_was_killed_is_never_taken_for_the_model(self, card: ModelSource, sample: SampleModel, cache: Path) -> None:
        ...

    def test_a_fetch_that_is_interrupted_leaves_nothing_behind(self, card: ModelSource, sample: SampleModel, cache: Path) -> None:
        ...

    def test_a_model_that_is_not_there_is_an_error_that_names_it(self, card: ModelSource, sample: SampleModel, cache: Path) -> None:
        ...

    def test_a_model_that_is_not_there_leaves_nothing_behind(self, card: ModelSource, sample: SampleModel, cache: Path) -> None:
        ...

    def test_without_a_network_a_missing_model_is_an_error(self, card: ModelSource, sample: SampleModel, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ...

    def test_a_broken_fetch_is_an_error_each_time(self, card: ModelSource, sample: SampleModel, cache: Path) -> None:
        ...

    def test_a_broken_fetch_leaves_nothing_behind(self, card: ModelSource, sample: SampleModel, cache: Path) -> None:
        ...
@contextmanager
def no_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ...
@contextmanager
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ...
