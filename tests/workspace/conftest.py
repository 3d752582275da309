"""The workspace as data: its folders, its members and its one true version."""

import configparser
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MEMBER_PATTERNS = ("core", "platforms/*", "attention_backends/*", "quantization/*", "plugins/*")


@dataclass(frozen=True, slots=True)
class Member:
    folder: Path
    project: dict[str, Any]  # the [project] table of its pyproject.toml

    @property
    def name(self) -> str:
        return str(self.project["name"])

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")

    @property
    def requirements(self) -> list[str]:
        extras = self.project.get("optional-dependencies", {}).values()
        return [*self.project.get("dependencies", []), *(r for extra in extras for r in extra)]


def find_members() -> list[Member]:
    """Return a member for each folder that is one by its place, so that one without files fails."""
    folders = sorted(
        folder
        for pattern in MEMBER_PATTERNS
        for folder in ROOT.glob(pattern)
        if folder.is_dir() and any(folder.rglob("*.py"))
    )
    return [
        Member(folder, tomllib.loads((folder / "pyproject.toml").read_text())["project"])
        for folder in folders
    ]


MEMBERS = find_members()


@pytest.fixture(params=MEMBERS, ids=lambda member: member.name)
def member(request: pytest.FixtureRequest) -> Member:
    return request.param


@pytest.fixture(scope="session")
def members() -> list[Member]:
    return MEMBERS


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def setup_cfg() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config
