"""Commands of the `jackfield` program."""

from __future__ import annotations

import argparse
from abc import abstractmethod
from typing import ClassVar

from jackfield.interfaces.card import Card


class Command(Card):
    """A subcommand. Heavy imports belong in `run`."""

    summary: ClassVar[str] = ""  # one line for --help

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    @abstractmethod
    def run(self, arguments: argparse.Namespace) -> int:
        """Run the command and return its exit status. The caller prints a JackfieldError as one clear message."""
