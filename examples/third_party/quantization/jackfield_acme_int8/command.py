"""`jackfield acme-int8` writes checkpoints of the scheme."""

from __future__ import annotations

import argparse
from pathlib import Path

from jackfield.interfaces.command import Command


class Int8Command(Command):
    """Writes a new folder and leaves the source as it is."""

    summary = "write a checkpoint whose layers have weights of eight bits"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("source", type=Path, help="folder with config.json and *.safetensors")
        parser.add_argument("target", type=Path, help="folder to write, which must not exist")
        parser.add_argument(
            "--keep",
            action="append",
            default=[],
            metavar="NAME",
            help="module, or whole parts of its name, that stays as it is, e.g. down_proj or layers.0; may be repeated",
        )

    def run(self, arguments: argparse.Namespace) -> int:
        """Convert a checkpoint and print a summary."""
        from jackfield_acme_int8.convert import convert

        done = convert(arguments.source, arguments.target, arguments.keep)
        print(
            f"{arguments.target}: {len(done.quantised)} matrices in eight bits, {len(done.kept)} as they were; "
            f"{done.bytes_before / 1e6:.1f} MB became {done.bytes_after / 1e6:.1f} MB"
        )
        return 0
