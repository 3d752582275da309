"""Run the cases of a folder, scripts that print what is expected and what came, and print a table of both.

Usage: python tools/run_cases.py FOLDER [NAME ...]

A case is FOLDER/NAME/run.py or run.sh. It prints lines such as `expected X | got Y`, which get a verdict: `yes` if X and Y
are equal or Y has what the words of X promise (a status, no traceback, accepted), `no` if it has not, and `look` if only a
person can tell, mostly because X is a sentence.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 400
ROOT = Path(__file__).resolve().parent.parent
_PAIR = re.compile(
    r"expected[^:|\[]*?:?\s*(?P<expected>[^|]*?)\s*\|+\s*(?:got|came):?\s*(?P<came>.*)"
)
_FAILED = re.compile(r"traceback|\b\w*Error: ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison of a case."""

    name: str
    expected: str
    came: str
    ok: str  # "yes", "no" or "look"


def main() -> int:
    """Run all cases, or the named ones. Returns 1 if one is not as expected."""
    folder, *wanted = sys.argv[1:]
    rows = []
    for case in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
        if not wanted or case.name in wanted:
            for row in rows_of(case.name, run(case)):
                rows.append(row)
                print(f"{row.name:22} {row.ok:5} {row.expected:.60} => {row.came:.240}", flush=True)
    count = {ok: sum(row.ok == ok for row in rows) for ok in ("yes", "no", "look")}
    print(", ".join(f"{ok}: {number}" for ok, number in count.items()))
    return 1 if count["no"] else 0


def run(case: Path) -> str:
    """The output of the script, of both streams."""
    script = case / "run.py"
    words = [sys.executable, str(script)]
    if not script.is_file():
        words = ["bash", str(case / "run.sh"), sys.executable]
    try:
        done = subprocess.run(
            words,
            check=False,
            cwd=ROOT,
            text=True,
            timeout=TIMEOUT_S,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except subprocess.TimeoutExpired:
        return f"expected: an end within {TIMEOUT_S} s | got: a Traceback of none"
    return done.stdout


def rows_of(name: str, text: str) -> Iterator[Row]:
    """The comparisons in the output of a case; if there is none, one row with the whole output."""
    lines = re.sub(r"\n(?=(?:got|came)\b)", " | ", text).splitlines()
    found = [pair for line in lines if (pair := _PAIR.search(line))]
    for pair in found:
        expected, came = pair["expected"].strip(), pair["came"].strip()
        expected = re.sub(r"^\(Transformers\):? ", "", expected)
        yield Row(name, expected, came, verdict(expected, came))
    if not found:
        for line in filter(None, map(str.strip, lines)):
            yield Row(name, "", line, "look")


def verdict(expected: str, came: str) -> str:
    """Whether `came` is as `expected` says, as far as words tell."""
    if (
        came == expected
        or came.startswith(f"{expected} ")
        or f"status {came.split(' ')[0]}" == expected
    ):
        return "yes"
    if expected == "no traceback" or expected.startswith("status 130"):
        return "no" if "TRACEBACK" in came or "Traceback" in came else "yes"
    if expected.startswith(("[", "'", "status")):
        return "no"
    if "RequestError" in expected and came.startswith("RequestError"):
        return "yes"
    if expected.startswith(("accepted", "starts")) and came.startswith(("accepted", "starts")):
        return "yes"
    return "no" if _FAILED.search(came) else "look"


if __name__ == "__main__":
    sys.exit(main())
