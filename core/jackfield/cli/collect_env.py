"""`jackfield collect-env`: everything that a bug report needs, in one text to paste."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys

from jackfield.cli.doctor import DoctorCommand
from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.cli.tables import print_table
from jackfield.discovery.scan import CORE, installed_version, normalise
from jackfield.environment import device_variables, jackfield_variables
from jackfield.interfaces.command import Command

_TORCH_S = 120.0  # the subprocess asks compilers and drivers
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)


class CollectEnvCommand(Command):
    """Prints `jackfield doctor`, versions of what our distributions need, variables, and torch's own report."""

    summary = "print all facts that a bug report needs"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print the report. Returns 0 whatever is found. No key is shown."""
        load_from_arguments(arguments)  # wrong settings are reported first
        arguments.json, arguments.save_profile = False, None
        DoctorCommand().run(arguments)
        _title("distributions")
        print_table(("name", "version"), sorted(_distributions().items()))
        _title("variables")
        for name, value in sorted((jackfield_variables() | device_variables()).items()):
            print(f"{name}={'***' if _SECRET.search(name) else value}")
        if installed_version("torch"):
            _title("torch")
            sys.stdout.flush()
            command = [sys.executable, "-m", "torch.utils.collect_env"]
            try:
                subprocess.run(command, timeout=_TORCH_S, check=False, stderr=subprocess.STDOUT)
            except subprocess.TimeoutExpired:
                print(f"python -m torch.utils.collect_env took more than {_TORCH_S:.0f} s")
        return 0


def _title(text: str) -> None:
    print(f"\n== {text}")


def _distributions() -> dict[str, str]:
    """Versions of our distributions and of all that they require by name."""
    from importlib import metadata

    ours = {
        normalise(found.metadata["Name"]): found
        for found in metadata.distributions()
        if normalise(found.metadata["Name"] or "").split("-")[0] == CORE
    }
    names = set(ours)
    for found in ours.values():
        words = (re.match(r"[\w.-]+", line) for line in found.requires or ())
        names |= {normalise(word[0]) for word in words if word}
    return {name: installed_version(name) or "not installed" for name in names}
