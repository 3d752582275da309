"""The page of all settings is complete and up to date."""

import subprocess
import sys
from pathlib import Path

import pytest

from jackfield.config.document import field_comments, page
from jackfield.config.settings import all_settings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def run(*arguments):
    command = [sys.executable, "-m", "jackfield.config.document", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_page_in_the_repository_is_what_the_schema_says():
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("setting", all_settings().values(), ids=lambda setting: setting.key)
def test_every_setting_stands_there_with_a_meaning(setting):
    row = next(line for line in page().splitlines() if f"`{setting.variable}`" in line)
    _, name, _, _, meaning, *_ = (cell.strip() for cell in row.split("|"))

    assert name == f"`{setting.key.partition('.')[2]}`"
    assert meaning


def test_a_comment_is_found_beside_its_field_or_above_it():
    source = "class A:\n    # of a\n    # kind\n    x: int = 1\n    y: int = 2  # beside\n    z: int = 3\n"

    assert field_comments(source) == {("A", "x"): "of a kind", ("A", "y"): "beside", ("A", "z"): ""}


def test_the_check_fails_for_another_page_and_passes_after_writing(tmp_path):
    file = tmp_path / "configuration.md"
    file.write_text("old")

    before = run("--check", file)
    run("--write", file)

    assert (before.returncode, run("--check", file).returncode) == (1, 0)
    assert "make docs WRITE=1" in before.stderr
