"""`jackfield new KIND NAME`: a whole plugin package to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from jackfield.errors import PluginConflict
from jackfield.interfaces.command import Command
from jackfield_testing.scaffold.names import Names, names_of


class NewCommand(Command):
    """Writes a package that works unchanged: after installation it is found, selected by name, and passes its tests."""

    summary = "write a new plugin package that works, to start from"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        from jackfield_testing.scaffold.kinds import KINDS

        parser.add_argument("kind", choices=sorted(KINDS), metavar="KIND", help=", ".join(KINDS))
        parser.add_argument(
            "name", metavar="NAME", help="as users will write it; of a model its architecture"
        )
        parser.add_argument(
            "--folder", type=Path, metavar="F", help="new or empty; default: the package's name"
        )

    def run(self, arguments: argparse.Namespace) -> int:
        """Write the package and print what to do next."""
        from jackfield_testing.scaffold.kinds import KINDS
        from jackfield_testing.scaffold.writer import write_package

        kind = KINDS[arguments.kind]
        names = names_of(arguments.name, is_model=kind.word == "model")
        _check_free(kind.kind, names)
        folder = arguments.folder or Path(names.distribution)
        for file in write_package(kind, names, folder):
            print(file)
        print(f"\ncd {folder}\npip install -e '.[test]'\npytest\njackfield plugins")
        return 0


def _check_free(kind: str, names: Names) -> None:
    """Raise PluginConflict if the plugin, its distribution or its package already exists elsewhere."""
    from importlib.util import find_spec

    from jackfield.discovery.scan import installed_version, scan_installed

    installed = scan_installed()
    for ref in installed.plugins:
        if (ref.kind, ref.name) == (kind, names.name):
            raise PluginConflict(
                f"{ref.distribution} {ref.version}, which is installed, owns the name {names.name!r} of {kind}; "
                "two owners of a name are an error. Choose another name"
            )
    version = installed_version(names.distribution)
    if version:
        owner = f"{names.distribution} {version} is installed"
    elif names.distribution in installed.first_party:
        owner = f"{names.distribution} belongs to Jackfield"
    elif find_spec(names.package):
        owner = f"something that is installed has a package {names.package}"
    else:
        return
    raise PluginConflict(
        f"{owner}: a distribution {names.distribution} with the package {names.package} would take its place. "
        "Choose another name"
    )
