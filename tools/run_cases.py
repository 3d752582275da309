"""Run the cases of a folder, scripts that print what is expected and what came, and print a table of both.

Usage: python tools/run_cases.py FOLDER [NAME ...]

A case is FOLDER/NAME/run.py or run.sh. Lines such as `expected X | got Y` are compared here: `yes` where X and Y are equal
or where Y keeps the promise of X by its words (a status, no traceback, accepted), `no` where it does not, and `look`
where only a person can tell, above all where what is expected is a sentence.
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
    """Run all cases, or those that are named; 1 if one is not as expected."""
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
    """What the script prints, on both streams."""
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
    """The comparisons that the output of a case holds; the whole of it where there is none."""
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
    """Whether `came` is what was expected, as far as its words tell."""
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
