# Part of: jackfield_testing 0.1
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
import pytest
from jackfield.discovery.kinds import WEIGHT_FORMATS
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.weights import Checkpoint
from jackfield.interfaces.weights import WeightFormat
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.conformance.damage import DAMAGES
from jackfield_testing.conformance.samples import SampleCheckpoint
class WeightFormatKit(CardKit):
    kind = WEIGHT_FORMATS

    @pytest.fixture
    def sample(self, tmp_path: Path) -> SampleCheckpoint:
        ...

    @pytest.fixture
    def forms(self, sample: SampleCheckpoint, tmp_path: Path) -> Mapping[str, SampleCheckpoint]:
        ...

    @pytest.fixture
    def needs(self, sample: SampleCheckpoint, tmp_path: Path) -> tuple[ModelFiles, ...]:
        ...

    @pytest.fixture
    def checkpoint(self, card: WeightFormat, sample: SampleCheckpoint) -> Iterator[Checkpoint]:
        ...

    @pytest.fixture
    def stored(self, checkpoint: Checkpoint) -> Checkpoint:
        ...

    def test_its_own_files_are_taken(self, card: WeightFormat, sample: SampleCheckpoint) -> None:
        ...

    def test_other_files_are_refused(self, card: WeightFormat, tmp_path: Path) -> None:
        ...

    def test_a_config_without_weights_is_no_checkpoint(self, card: WeightFormat, tmp_path: Path) -> None:
        ...

    def test_check_reads_next_to_nothing(self, card: WeightFormat, sample: SampleCheckpoint, tmp_path: Path) -> None:
        ...

    def test_the_config_is_canonical(self, checkpoint: Checkpoint, sample: SampleCheckpoint) -> None:
        ...

    def test_a_config_is_not_that_of_another_opening(self, card: WeightFormat, sample: SampleCheckpoint) -> None:
        ...

    def test_tensors_are_those_that_were_stored(self, stored: Checkpoint, sample: SampleCheckpoint) -> None:
        ...

    def test_a_synthetic_checkpoint_has_no_tensors(self, checkpoint: Checkpoint) -> None:
        ...

    def test_reading_yields_bytes_of_the_size_that_was_said(self, stored: Checkpoint) -> None:
        ...

    def test_reading_yields_what_was_stored(self, stored: Checkpoint, sample: SampleCheckpoint) -> None:
        ...

    def test_other_forms_are_read_alike(self, card: WeightFormat, forms: Mapping[str, SampleCheckpoint]) -> None:
        ...

    def test_links_are_followed(self, card: WeightFormat, sample: SampleCheckpoint, tmp_path: Path) -> None:
        ...

    def test_reads_do_not_disturb_each_other(self, stored: Checkpoint, sample: SampleCheckpoint) -> None:
        ...

    def test_a_slice_of_rows_is_that_of_the_whole(self, stored: Checkpoint, sample: SampleCheckpoint) -> None:
        ...

    def test_writing_into_a_buffer_does_not_change_the_checkpoint(self, stored: Checkpoint, sample: SampleCheckpoint) -> None:
        ...

    def test_a_tensor_that_is_not_there_is_an_error_that_names_it(self, stored: Checkpoint) -> None:
        ...

    def test_two_may_be_open_at_once(self, card: WeightFormat, sample: SampleCheckpoint) -> None:
        ...

    @pytest.mark.parametrize('damage', DAMAGES)
    def test_a_broken_file_is_an_error_and_never_other_weights(self, card: WeightFormat, sample: SampleCheckpoint, tmp_path: Path, damage: str) -> None:
        ...

    def test_closing_releases_the_files(self, card: WeightFormat, sample: SampleCheckpoint) -> None:
        ...

    def test_a_failed_opening_leaves_no_file_open(self, card: WeightFormat, sample: SampleCheckpoint, tmp_path: Path) -> None:
        ...
