"""`jackfield new KIND NAME`: a whole plugin package to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from jackfield.errors import PluginConflict
from jackfield.interfaces.command import Command


class NewCommand(Command):
    """Writes a package that works as it is: installed, it is found, selected by its name, and passes its tests."""

    summary = "write a new plugin package that works, to start from"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        from jackfield.scaffold.kinds import KINDS

        parser.add_argument("kind", choices=sorted(KINDS), metavar="KIND", help=", ".join(KINDS))
        parser.add_argument(
            "name", metavar="NAME", help="as users will write it; of a model its architecture"
        )
        parser.add_argument(
            "--folder", type=Path, metavar="F", help="new or empty; default: the package's name"
        )

    def run(self, arguments: argparse.Namespace) -> int:
        """Write the package and say what to do with it."""
        from jackfield.scaffold.kinds import KINDS
        from jackfield.scaffold.names import names_of
        from jackfield.scaffold.writer import write_package

        kind = KINDS[arguments.kind]
        names = names_of(arguments.name, is_model=kind.word == "model")
        _check_free(kind.kind, names.name)
        folder = arguments.folder or Path(names.distribution)
        for file in write_package(kind, names, folder):
            print(file)
        print(f"\ncd {folder}\npip install -e '.[test]'\npytest\njackfield plugins")
        return 0


def _check_free(kind: str, name: str) -> None:
    from jackfield.discovery.scan import scan_installed

    for ref in scan_installed().plugins:
        if (ref.kind, ref.name) == (kind, name):
            raise PluginConflict(
                f"{ref.distribution} {ref.version}, which is installed, owns the name {name!r} of {kind}; "
                "two owners of a name are an error. Choose another name"
            )
