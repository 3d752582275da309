"""Every code block of the pages is at least Python (or TOML, or JSON); what is marked runs, in the order of its page.

<!-- run -->           above a block of python or sh: it is run, all of a page in one empty folder
<!-- file: NAME -->    above any block: it is written to that file first
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from jackfield.environment import jackfield_variables

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"  # runs in an environment of its own: test_tutorial.py
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>run|file: (?P<file>\S+)) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
READERS = {"toml": tomllib.loads, "json": json.loads}
STRAY = re.compile(r"^<!-- (run|file: .*) -->\n(?!```)", re.MULTILINE)


def _name(page):
    return str(page.relative_to(ROOT))


@dataclass
class Block:
    page: Path
    line: int  # of its first line, from 1
    language: str
    text: str
    mark: str  # "", "run" or "file: NAME"
    file: str | None

    def __str__(self):
        return f"{_name(self.page)}:{self.line}"

    def compiled(self):
        """Code whose tracebacks show the lines of the page."""
        return compile(
            "\n" * (self.line - 1) + self.text, str(self.page), "exec", dont_inherit=True
        )


def blocks_of(page):
    text = page.read_text()
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start("text")) + 1,
            language=found["language"],
            text=found["text"],
            mark=found["mark"] or "",
            file=found["file"],
        )
        for found in BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUNNABLE = [
    page
    for page in PAGES
    if page != TUTORIAL and any(block.mark == "run" for block in blocks_of(page))
]


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=str)
def test_a_block_of_python_compiles(block):
    block.compiled()


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in READERS], ids=str)
def test_a_block_of_data_can_be_read(block):
    READERS[block.language](block.text)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_mark_stands_above_a_block_that_it_fits(page):
    assert not STRAY.search(page.read_text())
    assert {b.language for b in blocks_of(page) if b.mark == "run"} <= {"python", "sh"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    for name in jackfield_variables():
        monkeypatch.delenv(name)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.mark.cpu_model
@pytest.mark.parametrize("page", RUNNABLE, ids=_name)
def test_what_a_page_says_it_runs_runs(page, place):
    names = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.file:
            (place / block.file).write_text(block.text)
        elif block.mark == "run" and block.language == "python":
            exec(block.compiled(), names)
        elif block.mark == "run":
            command = ["bash", "-euo", "pipefail", "-c", block.text]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{block}:\n{done.stdout}{done.stderr}"
