"""Packages by others import nothing of ours that may change in any release."""

import ast
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = sorted(path.parent for path in ROOT.glob("examples/third_party/*/pyproject.toml"))
CONTRACTS = tomllib.loads((ROOT / "docs" / "interfaces" / "contracts.toml").read_text())
PUBLIC = [
    f"{package}.{module}".rstrip(".")
    for package, entry in CONTRACTS.items()
    for module in entry["public"]
]


def imported(path):
    """The modules that a file imports; `from a import b` is a."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "."
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_only_public_modules_are_imported(package):
    ours = {
        (module, path.name)
        for path in package.rglob("*.py")
        for module in imported(path)
        if module.partition(".")[0] in CONTRACTS
    }

    private = {place for place in ours if not any(fnmatch(place[0], pattern) for pattern in PUBLIC)}

    assert ours
    assert private == set()
