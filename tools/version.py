"""Write one version into setup.cfg and into the pyproject.toml of every member."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def member_folders() -> list[Path]:
    """Return the folders that requirements/*.txt install as members."""
    lines = [
        line for file in ROOT.glob("requirements/*.txt") for line in file.read_text().splitlines()
    ]
    return sorted(ROOT / line.removeprefix("-e ./") for line in lines if line.startswith("-e ./"))


def main(arguments: list[str]) -> None:
    """Replace the version, and the range `>=x.y,<x.z` by which members require each other."""
    match = re.fullmatch(r"(\d+)\.(\d+)\.\d+", arguments[0] if len(arguments) == 1 else "")
    if match is None:
        sys.exit(f"expected one version x.y.z, got {arguments}. Try: make version V=0.2.0")
    version, major, minor = match.group(), int(match[1]), int(match[2])
    siblings = f">={major}.{minor},<{major}.{minor + 1}"

    for file in [ROOT / "setup.cfg", *(folder / "pyproject.toml" for folder in member_folders())]:
        text = file.read_text()
        text = re.sub(r'(?m)^version = ("?)[^"\n]+("?)$', rf"version = \g<1>{version}\g<2>", text)
        text = re.sub(r'("jackfield[\w-]*)>=\d+\.\d+,<\d+\.\d+"', rf'\g<1>{siblings}"', text)
        file.write_text(text)
    print(f"version {version}, members require each other as {siblings}")


if __name__ == "__main__":
    main(sys.argv[1:])
