"""Packages by others, away from the repository that their files lie in."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def copy_of(tmp_path):
    def copy_of(package, *parts):
        """A folder with these parts of a package and none of its sources, so that tests find the installed one."""
        for part in parts:
            shutil.copytree(ROOT / package / part, tmp_path / "copy" / part)
        return tmp_path / "copy"

    return copy_of
