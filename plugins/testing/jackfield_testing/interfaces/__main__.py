"""`python -m jackfield_testing.interfaces`: compares public interfaces with their snapshots, or writes snapshots."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jackfield_testing.interfaces.snapshots import (
    compare,
    read_snapshots,
    read_sources,
    write_snapshots,
)


def main() -> int:
    """Compare or write. Returns 1 if a snapshot is stale or a change breaks an interface."""
    parser = argparse.ArgumentParser(prog="python -m jackfield_testing.interfaces")
    parser.add_argument("--write", action="store_true", help="refresh snapshots; additions only")
    parser.add_argument(
        "--break",
        action="store_true",
        dest="may_break",
        help="with --write: also what breaks. Only before the first release",
    )
    parser.add_argument("--folder", type=Path, default=Path("docs/interfaces"))
    arguments = parser.parse_args()
    sources = read_sources(arguments.folder)
    report = compare(read_snapshots(arguments.folder), sources)
    if str(report):
        sys.stdout.write(f"{report}\n")
    if report.breaking and not (arguments.write and arguments.may_break):
        sys.stdout.write(
            "What breaks needs a new major: add it beside the old contract (docs/compatibility.md)\n"
        )
        return 1
    if arguments.write:
        write_snapshots(arguments.folder, sources)
        return 0
    if report.stale:
        sys.stdout.write("Refresh the snapshots: make snapshots\n")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
