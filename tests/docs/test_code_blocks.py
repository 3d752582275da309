"""Every code block of the pages runs, in the order of its page, or says why not; data can be read.

<!-- run -->           above a block of python or sh: it is run, all of a page in one empty folder
<!-- file: NAME -->    above any block: it is written to that file first
<!-- not run: WHY -->  above a block of python or sh; its Python compiles, its `jackfield` commands take these arguments
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from jackfield.cli.main import main
from jackfield.cli.settings import load_from_arguments
from jackfield.environment import jackfield_variables

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"  # runs in an environment of its own: test_tutorial.py
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>run|file: (?P<file>\S+)|not run: [^\n]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
MEMBER_PAGES = sorted(  # of single packages; they are short and repeat what the pages show
    page
    for pattern in ("core/README.md", "*/*/README.md", "examples/third_party/*/README.md")
    for page in ROOT.glob(pattern)
    if not {".venv", "build", "docs"} & set(page.relative_to(ROOT).parts)
)
READERS = {"toml": tomllib.loads, "json": json.loads}
STRAY = re.compile(r"^<!-- (run|file: .*|not run: .*) -->\n(?!```)", re.MULTILINE)


def _name(page):
    return str(page.relative_to(ROOT))


@dataclass
class Block:
    page: Path
    line: int  # of its first line, from 1
    language: str
    text: str
    mark: str  # "", "run", "file: NAME" or "not run: WHY"
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
OF_MEMBERS = [
    block
    for page in MEMBER_PAGES  # those of packages by others run in tests of their own
    for block in blocks_of(page)
    if block.language == "python" and "third_party" not in page.parts
]
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
    marked = {b.language for b in blocks_of(page) if b.mark.endswith("run") or "not run" in b.mark}
    assert marked <= {"python", "sh"}


@pytest.mark.parametrize("page", [p for p in PAGES if p != TUTORIAL], ids=_name)
def test_a_block_runs_or_says_why_not(page):
    unmarked = [b for b in blocks_of(page) if b.language in ("python", "sh") and not b.mark]

    assert unmarked == [], f"mark them: {', '.join(map(str, unmarked))}"


def commands_of(page):
    """The words behind `jackfield` in each command of a page that is not run there."""
    for block in blocks_of(page):
        if block.mark != "run" and block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                end = next((i for i, word in enumerate(words) if word[0] in "|<>&;"), len(words))
                if words[:1] == ["jackfield"]:
                    yield block, words[1:end]


@pytest.mark.parametrize("page", [*PAGES, *MEMBER_PAGES], ids=_name)
def test_a_command_that_is_not_run_takes_its_arguments(page, monkeypatch, capsys):
    def run(self, arguments):
        if hasattr(arguments, "set"):
            load_from_arguments(arguments)
        return 0

    names = {point.name: point for point in entry_points(group="jackfield.commands.v1")}
    for point in names.values():
        monkeypatch.setattr(point.load(), "run", run)
    for block, words in commands_of(page):
        if words[0] in names:  # a package by others may bring its own
            try:
                status = main(words)
            except SystemExit as error:
                status = error.code
            assert status == 0, f"{block}: {shlex.join(words)}\n{capsys.readouterr().err}"


@pytest.mark.thorough
@pytest.mark.cpu_model
@pytest.mark.parametrize("block", OF_MEMBERS, ids=str)
def test_the_python_of_a_members_page_runs(block, tmp_path):
    if block.mark.startswith("not run"):
        block.compiled()
        return
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


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


@pytest.mark.thorough
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
