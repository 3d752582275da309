# Part of: jackfield.commands.v1
import argparse
from abc import abstractmethod
from typing import ClassVar
from jackfield.interfaces.card import Card
class Command(Card):
    summary: ClassVar[str] = ''

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        ...

    @abstractmethod
    def run(self, arguments: argparse.Namespace) -> int:
        ...
