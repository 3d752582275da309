"""The tutorial, word for word, in an environment that holds nothing of ours but two wheels: the core and the kits."""

import re
import shlex
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
BLOCK = re.compile(
    r"^<!-- (?P<mark>run|shown|file: (?P<file>\S+)) -->\n```\w*\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def script():
    """All commands of the page as one script, so that `cd` holds; a file is written where the reader stands."""
    for number, block in enumerate(BLOCK.finditer(PAGE)):
        if block["file"]:
            yield f"cat > {block['file']} <<'END-OF-{number}'\n{block['text']}END-OF-{number}"
        elif block["mark"] == "run":
            yield block["text"]


@pytest.fixture(scope="module")
def clean_environment(make_clean_environment):
    """What the first step of the page installs."""
    (line,) = re.findall(r"^pip install (jackfield .*)$", PAGE, re.MULTILINE)
    return make_clean_environment(*shlex.split(line))


@pytest.mark.core_model
def test_it_ends_in_an_installed_plugin_that_an_engine_chooses(clean_environment, tmp_path):
    said = clean_environment.run("\n".join(script()), tmp_path)

    assert re.search(r"jackfield\.schedulers\.v1 +even +jackfield-even +0\.1\.0 +ok", said)
    for block in BLOCK.finditer(PAGE):
        if block["mark"] == "shown":
            assert block["text"] in said
    assert re.search(r"chosen +even \[jackfield-even 0\.1\.0\]", said)
    listed = clean_environment.run("jackfield plugins")
    assert "jackfield-even" in listed


def test_the_environment_holds_no_source_of_ours(clean_environment):
    said = clean_environment.run(
        "python -c 'import jackfield; print(jackfield.__file__)'; pip list --editable"
    )

    assert "site-packages" in said.splitlines()[0]
    assert "jackfield" not in "".join(said.splitlines()[1:])
