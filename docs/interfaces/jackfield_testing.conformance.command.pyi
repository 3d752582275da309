# Part of: jackfield_testing 0.1
import argparse
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import pytest
from jackfield.discovery.kinds import COMMANDS
from jackfield.interfaces.command import Command
from jackfield_testing.conformance.card import CardKit
@dataclass(frozen=True, slots=True)
class Done:
    status: object
    out: str
    err: str
Call = Callable[..., Done]
class CommandKit(CardKit):
    kind = COMMANDS
    good_calls: ClassVar[Sequence[Sequence[str]]] = ()
    bad_calls: ClassVar[Sequence[Sequence[str]]] = ()

    @pytest.fixture
    def needs(self) -> tuple[None]:
        ...

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        ...

    @pytest.fixture
    def call(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
        ...

    def test_its_name_is_a_word_that_can_be_typed(self) -> None:
        ...

    def test_its_summary_is_one_printable_line(self, card: Command) -> None:
        ...

    def test_declaring_arguments_changes_nothing(self, card: Command, capsys: pytest.CaptureFixture[str]) -> None:
        ...

    def test_arguments_can_be_declared_again(self, card: Command) -> None:
        ...

    def test_every_argument_has_a_help_text(self, card: Command) -> None:
        ...

    def test_its_arguments_leave_the_programs_own_alone(self, card: Command) -> None:
        ...

    def test_help_is_printed_and_nothing_heavy_is_loaded_for_it(self, card: Command) -> None:
        ...

    def test_an_unknown_option_is_wrong_usage(self, call: Call) -> None:
        ...

    def test_a_good_call_ends_with_status_0(self, call: Call) -> None:
        ...

    def test_a_call_that_cannot_be_obeyed_says_why(self, call: Call) -> None:
        ...
def declared(card: Command) -> argparse.ArgumentParser:
    ...
