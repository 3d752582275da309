"""The kit of commands: arguments are only declared, help can be read, and errors are explained."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jackfield.cli.main import main
from jackfield.discovery.kinds import COMMANDS
from jackfield.environment import jackfield_variables
from jackfield.interfaces.command import Command
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.conformance.kit import HEAVY

_UNKNOWN = "--no-such-option"
_WORD = re.compile(r"[A-Za-z0-9][\w.-]*")
_OF_THE_PROGRAM = ("command", "broken")  # attributes of the arguments that say which command runs
_HELP = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from jackfield.cli.main import main
try:
    status = main([sys.argv[2], "--help"])
except SystemExit as leaving:
    status = leaving.code
print()
print(json.dumps([status, [name for name in sys.argv[3:] if name in sys.modules]]))
"""
_HELP_S = 60  # enough for a busy machine


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a call of the program."""

    status: object  # exit status
    out: str
    err: str


Call = Callable[..., Done]
"""Runs the program with the command and some words, in this process, in `folder`, with empty standard input."""


class CommandKit(CardKit):
    """A third party's test file names the entry point, `name = "mine"`, and gives calls."""

    kind = COMMANDS
    good_calls: ClassVar[Sequence[Sequence[str]]] = ()  # words of calls that succeed: (("world",),)
    bad_calls: ClassVar[Sequence[Sequence[str]]] = ()  # words of calls that must fail

    @pytest.fixture
    def needs(self) -> tuple[None]:
        """A command is typed, so it is not selected for a need."""
        return (None,)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """The folder of the calls. Override it to put files there."""
        return tmp_path

    @pytest.fixture
    def call(
        self,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> Call:
        """Runs the program."""
        monkeypatch.syspath_prepend(str(Path.cwd()))  # one-file plugins are found here
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        for name, value in self._environ().items():
            monkeypatch.setenv(name, value)
        for name in set(jackfield_variables()) - set(self._environ()):
            monkeypatch.delenv(name)

        def call(*words: str) -> Done:
            capsys.readouterr()
            try:
                status: object = main([self.ref().name, *words])
            except SystemExit as leaving:
                status = leaving.code
            return Done(status, *capsys.readouterr())

        return call

    # What it declares

    def test_its_name_is_a_word_that_can_be_typed(self) -> None:
        """The name has letters, digits, `-`, `_` and dots, and at most two words, so that no shell changes it."""
        words = self.ref().name.split(" ", 1)
        assert all(map(_WORD.fullmatch, words)), f"{self.ref().name!r} is no word for a shell"

    def test_its_summary_is_one_printable_line(self, card: Command) -> None:
        """The summary is printed in the list of all commands."""
        summary = card.summary
        assert isinstance(summary, str), f"summary is {summary!r}, not a str"
        assert summary.strip(), "summary is empty"
        assert summary.isprintable(), (
            f"summary is {summary!r}: line breaks and escapes are not one line"
        )

    def test_declaring_arguments_changes_nothing(
        self, card: Command, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The program declares arguments twice: first on a parser of its own, then on the real one."""
        before = _process()
        declared(card)
        assert _process() == before, "add_arguments changes the process"
        assert capsys.readouterr() == ("", ""), "add_arguments prints"

    def test_arguments_can_be_declared_again(self, card: Command) -> None:
        """Another parser gives the same result, also with a newly made card."""
        first = declared(card).format_help()
        assert declared(card).format_help() == first
        assert declared(type(card)()).format_help() == first

    def test_every_argument_has_a_help_text(self, card: Command) -> None:
        """Arguments of sub-commands need one too. `argparse.SUPPRESS` counts as one."""
        for parser in _parsers(declared(card)):
            parser.format_help()  # raises for a percent sign that is not doubled
            bare = [_name(action) for action in _actions(parser) if not action.help]
            assert bare == [], f"no help text: {', '.join(bare)}"

    def test_its_arguments_leave_the_programs_own_alone(self, card: Command) -> None:
        """The attributes `command` and `broken` say which command is to run."""
        dests = {action.dest for parser in _parsers(declared(card)) for action in _actions(parser)}
        taken = dests.intersection(_OF_THE_PROGRAM)
        assert not taken, f"{', '.join(taken)} is the program's own: give another dest"

    # How the program uses it

    def test_help_is_printed_and_nothing_heavy_is_loaded_for_it(self, card: Command) -> None:
        """In a fresh interpreter: status 0, the summary, and nothing on standard error."""
        environ = {k: v for k, v in os.environ.items() if k not in jackfield_variables()}
        path = json.dumps([str(Path.cwd()), *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", _HELP, path, self.ref().name, *HEAVY],
            env={**environ, **self._environ(), "COLUMNS": "1000", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=_HELP_S,
            check=False,
        )
        assert done.returncode == 0, f"--help fails:\n{done.stderr}"
        *lines, last = done.stdout.splitlines()
        status, heavy = json.loads(last)
        assert (status, done.stderr) == (0, "")
        assert card.summary.strip() in "\n".join(lines), f"--help does not say {card.summary!r}"
        assert heavy == [], f"--help imports {', '.join(heavy)}"

    def test_an_unknown_option_is_wrong_usage(self, call: Call) -> None:
        """As for any program, the status is 2 and a line shows the usage."""
        done = call(*next(iter(self.good_calls), ()), _UNKNOWN)
        assert done.status == 2, f"{_UNKNOWN} gives status {done.status}\n{done.err}"
        assert "usage: " in done.err, done.err
        assert "Traceback" not in done.err

    def test_a_good_call_ends_with_status_0(self, call: Call) -> None:
        """`run` returns the status as a number. `good_calls` gives calls; if there are none, the kit skips this test."""
        if not self.good_calls:
            pytest.skip("names no good_calls")
        for words in self.good_calls:
            done = call(*words)
            assert type(done.status) is int, f"{words}: run returned {done.status!r}, no number"
            assert done.status == 0, f"{words}: status {done.status}\n{done.err}"

    def test_a_call_that_cannot_be_obeyed_says_why(self, call: Call) -> None:
        """A JackfieldError or `parser.error` explains the failure on standard error; the status is not 0. See
        `bad_calls`.
        """
        if not self.bad_calls:
            pytest.skip("names no bad_calls")
        for words in self.bad_calls:
            done = call(*words)
            assert done.status in (1, 2), f"{words}: status {done.status!r}"
            _, found, message = done.err.partition("error: ")
            assert found, f"{words} says no error on stderr: {done.err!r}"
            assert message.strip(), f"{words}: the error says nothing"
            assert "Traceback" not in done.out + done.err, f"{words} prints a traceback"

    def _environ(self) -> dict[str, str]:
        return {"JACKFIELD_PLUGINS_LOCAL": ",".join(self.plugins)} if self.plugins else {}


def declared(card: Command) -> argparse.ArgumentParser:
    """A parser with the arguments of a command."""
    parser = argparse.ArgumentParser(prog="jackfield command")
    card.add_arguments(parser)
    return parser


def _process() -> tuple[Any, ...]:
    """State that the whole process shares."""
    return dict(os.environ), Path.cwd(), list(sys.argv), list(sys.path)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Arguments and options. An argument that chooses a sub-command lists these, each with a help text of its own."""
    return [action for action in parser._actions if not isinstance(action.choices, Mapping)]


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and the parsers of its sub-commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action.choices, Mapping):
            for child in action.choices.values():
                yield from _parsers(child)


def _name(action: argparse.Action) -> str:
    return "/".join(action.option_strings) or action.dest
