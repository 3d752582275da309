"""Commands with one planted fault each."""

import argparse
import os
import sys
import types

from jackfield.errors import ConfigError
from jackfield.interfaces.command import Command


class Sound(Command):
    summary = "greet somebody (100% friendly)"

    def add_arguments(self, parser):
        parser.add_argument("name", help="who is greeted, 100%% of them")

    def run(self, arguments):
        if arguments.name == "nobody":
            raise ConfigError("cannot greet nobody. Name somebody")
        print(f"Hello, {arguments.name}")
        return 0


class Meddling(Sound):
    def add_arguments(self, parser):
        super().add_arguments(parser)
        os.environ["ACME_GREETED"] = os.environ.get("ACME_GREETED", "") + "x"


class Once(Sound):
    is_declared = False

    def add_arguments(self, parser):
        if not self.is_declared:
            super().add_arguments(parser)
        type(self).is_declared = True


class Percent(Sound):
    def add_arguments(self, parser):
        parser.add_argument("name", help="100% of them")


class Heavy(Sound):
    def add_arguments(self, parser):
        super().add_arguments(parser)
        sys.modules.setdefault("tensorflow", types.ModuleType("tensorflow"))  # as an import does


class Greedy(Sound):
    def add_arguments(self, parser):
        parser.add_argument("name", nargs=argparse.REMAINDER, help="anything")


class Crashing(Sound):
    def run(self, arguments):
        if arguments.name == "nobody":
            raise KeyError("nobody")
        return 0


class Silent(Sound):
    def run(self, arguments):
        return 1 if arguments.name == "nobody" else 0
