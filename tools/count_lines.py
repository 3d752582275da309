"""Compare the lines of code that docs/third_party.md prints with what the packages hold; --write corrects the page.

Run from the root of the repository: python -m tools.count_lines [--write]
"""

import ast
import re
import sys
from pathlib import Path

from tools.sizes import code_lines

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "examples" / "third_party"
PAGE = ROOT / "docs" / "third_party.md"
# A row of the table: | `numpy_platform` | ... | 512 |
ROW = re.compile(r"^(?P<head>\| `(?P<name>\w+)`.*\| )(?P<lines>\d+)(?= \|$)", re.MULTILINE)


def count_lines(package: Path) -> int:
    """Return the lines that hold code, not blank, comment or docstring, of a package without its tests."""
    sources = [
        path.read_text()
        for path in package.rglob("*.py")
        if not {"tests", "build"}.intersection(path.relative_to(package).parts)
    ]
    return sum(len(code_lines(source, ast.parse(source))) for source in sources)


def counted() -> dict[str, int]:
    """Return the lines of each third-party package."""
    projects = sorted(PACKAGES.glob("*/pyproject.toml"))
    return {path.parent.name: count_lines(path.parent) for path in projects}


def printed(page: str) -> dict[str, int]:
    """Return what the table on the page says."""
    return {row["name"]: int(row["lines"]) for row in ROW.finditer(page)}


def main() -> None:
    """Check the page, or write the figures of the rows that it has."""
    found, page = counted(), PAGE.read_text()
    if "--write" in sys.argv[1:]:
        page = ROW.sub(lambda row: f"{row['head']}{found.get(row['name'], 0)}", page)
        PAGE.write_text(page)
    print("\n".join(f"{lines:6} {name}" for name, lines in found.items()))
    if printed(page) != found:
        sys.exit(f"{PAGE.name} says {printed(page)}; run python -m tools.count_lines --write")


if __name__ == "__main__":
    main()
