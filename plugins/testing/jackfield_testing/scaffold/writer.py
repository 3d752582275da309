"""Fills templates and writes them: first those that all packages share, then those of the kind.

A template's path is the path in the package, with `package` for the folder of the import package, `dot_` for a
leading dot (packaging of the templates would skip hidden files) and `.txt` at the end. In a template `$$` is a dollar
sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

from jackfield import __version__
from jackfield.errors import ConfigError
from jackfield_testing.scaffold.kinds import PackageKind
from jackfield_testing.scaffold.names import Names

_TEMPLATES = Path(__file__).parent / "templates"
_ABOUT = "about.md.txt"  # the kind's part of the README


def write_package(kind: PackageKind, names: Names, folder: Path) -> tuple[Path, ...]:
    """Write a whole package to `folder`, which must be new or empty. Returns the files. Raises ConfigError."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(
            f"{folder} is there already and not an empty folder. Name another with --folder"
        )
    written = []
    for path, text in package_files(kind, names):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return tuple(written)


def package_files(kind: PackageKind, names: Names) -> Iterator[tuple[Path, str]]:
    """The files of a package, by their paths in it."""
    values = _values(kind, names)
    for folder in (_TEMPLATES / "common", _TEMPLATES / kind.folder):
        for template in sorted(folder.rglob("*.txt")):
            if template.name == _ABOUT:
                continue
            path = template.relative_to(folder).with_suffix("")
            yield Path(*(_part(part, names) for part in path.parts)), _filled(template, values)


def _part(part: str, names: Names) -> str:
    return names.package if part == "package" else re.sub("^dot_", ".", part)


def _values(kind: PackageKind, names: Names) -> dict[str, str]:
    siblings = _range(__version__, is_capped=kind.beyond_contracts)
    requirements = [f"jackfield{siblings}"]
    kits = "jackfield-testing-torch" if kind.kit_needs_torch else "jackfield-testing"
    test_requirements = ["pytest>=8", f"{kits}{siblings}"]
    if kind.runtime:
        requirements.append(f"jackfield-torch{siblings}")
    requirements += kind.requires
    if kind.needs_cpu:
        test_requirements.append(f"jackfield[cpu]{siblings}")
    if kind.reference:
        test_requirements.append(kind.reference)
    values = {
        "name": names.name,
        "slug": names.slug,
        "Name": names.title,
        "NAME": names.slug.upper(),
        "package": names.package,
        "distribution": names.distribution,
        "group": kind.group,
        "kind": kind.kind,
        "word": kind.word.replace("-", " "),
        "install": f"'jackfield[cpu]' {names.distribution}"
        if kind.runs_models
        else names.distribution,
        "requirements": _toml_list(requirements),
        "test_requirements": _toml_list(test_requirements),
    }
    values["target"] = f"{names.package}.{Template(kind.target).substitute(values)}"
    values["summary"] = Template(kind.summary).substitute(values)
    values["about"] = _filled(_TEMPLATES / kind.folder / _ABOUT, values)
    return values


def _filled(template: Path, values: Mapping[str, str]) -> str:
    return Template(template.read_text(encoding="utf-8")).substitute(values)


def _range(version: str, *, is_capped: bool) -> str:
    """Contracts need no upper limit: a later release refuses majors that it no longer serves."""
    major, minor, *_ = version.split(".")
    return f">={major}.{minor}" + (f",<{major}.{int(minor) + 1}" if is_capped else "")


def _toml_list(words: list[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
