# Part of: jackfield_testing 0.1
from pathlib import Path
import pytest
from jackfield.interfaces.platform import Platform
from jackfield_testing.conformance.platform_runs import PlatformRuns
class SamplingTests(PlatformRuns):

    @pytest.mark.parametrize('name', _NARROW)
    def test_narrowed_to_one_token_drawing_is_greedy(self, tmp_path: Path, name: str) -> None:
        ...

    def test_a_large_bias_decides(self, tmp_path: Path) -> None:
        ...

    def test_no_token_is_drawn_beside_the_allowed_ones(self, tmp_path: Path) -> None:
        ...

    def test_a_bad_word_loses_its_last_token(self, tmp_path: Path) -> None:
        ...

    @pytest.mark.parametrize('name', ['presence_penalty', 'frequency_penalty'])
    def test_a_large_penalty_turns_to_the_next_best(self, tmp_path: Path, name: str) -> None:
        ...

    def test_a_repetition_penalty_looks_at_the_prompt_too(self, tmp_path: Path) -> None:
        ...

    def test_min_tokens_hold_back_the_end(self, tmp_path: Path) -> None:
        ...

    def test_log_probabilities_belong_to_their_tokens(self, tmp_path: Path) -> None:
        ...

    def test_the_best_token_of_log_probabilities_is_the_greedy_one(self, tmp_path: Path) -> None:
        ...

    def test_log_probabilities_of_a_prompt_are_those_of_its_beginnings(self, tmp_path: Path) -> None:
        ...

    @pytest.mark.parametrize('token_id', [3, 200])
    def test_late_masks_are_obeyed(self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token_id: int) -> None:
        ...
