# Part of: jackfield_testing_torch 0.1
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import ClassVar
import pytest
from jackfield_testing.conformance.card import CardKit
from jackfield_torch.interfaces.logits_processor import KIND
from jackfield_torch.interfaces.logits_processor import TorchLogitsProcessor
from jackfield_torch.interfaces.row_processor import RowProcessor
class LogitsProcessorKit(CardKit):
    kind = KIND
    samples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    @pytest.fixture
    def processor(self, card: TorchLogitsProcessor) -> RowProcessor:
        ...

    def test_arguments_are_data_that_cannot_change(self, card: TorchLogitsProcessor) -> None:
        ...

    def test_rows_beside_it_change_nothing(self, card: TorchLogitsProcessor) -> None:
        ...

    def test_what_lies_behind_the_tokens_changes_nothing(self, card: TorchLogitsProcessor) -> None:
        ...

    def test_tokens_are_left_as_they_are(self, card: TorchLogitsProcessor) -> None:
        ...

    def test_a_row_that_was_left_is_forgotten(self, card: TorchLogitsProcessor) -> None:
        ...

    @pytest.mark.parametrize('num_drafts', [0, 3])
    def test_a_whole_engine_gives_each_request_its_own(self, tmp_path: Path, num_drafts: int) -> None:
        ...
