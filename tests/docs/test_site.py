"""The site is built from the pages and from the docstrings, and needs nothing from elsewhere."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]


def build(folder, docs):
    """Build the site of other pages with our settings; returns the finished process."""
    settings = folder / "mkdocs.yml"
    text = (ROOT / "mkdocs.yml").read_text()
    text = text.replace("docs_dir: docs", f"docs_dir: {docs}")
    text = text.replace("site_dir: build/site", f"site_dir: {folder / 'site'}")
    text = text.replace("[tools/", f"[{ROOT}/tools/")
    text = re.sub(r"(?<=paths: \[)[^]]+", lambda found: _absolute(found[0]), text)
    settings.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", settings],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def _absolute(folders):
    return ", ".join(str(ROOT / folder) for folder in folders.split(", "))


def copy_of_the_docs(folder):
    copy = folder / "docs"
    copy.mkdir()
    for path in (ROOT / "docs").iterdir():
        (copy / path.name).symlink_to(path)
    return copy


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(folder, ROOT / "docs")
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_every_public_module_has_a_page_of_its_docstrings(site):
    manifest = tomllib.loads((ROOT / "docs" / "interfaces" / "contracts.toml").read_text())
    contracts = {name for entry in manifest.values() for name in entry.get("contracts", ())}
    pages = list((site / "interfaces").glob("*.html"))
    text = "\n".join(page.read_text() for page in pages)

    assert len(pages) == len(list((ROOT / "docs" / "interfaces").glob("*.pyi")))
    assert {name for name in contracts if name in text} == contracts
    policy = (site / "interfaces" / "jackfield.interfaces.policy.html").read_text()
    assert "The waiting request with the smallest key is admitted first." in policy


def test_a_page_fetches_nothing_from_elsewhere(site):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "is_offline_site.py", site],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        '<script src="https://elsewhere.org/x.js"></script>',
        '<link rel="stylesheet" href="//elsewhere.org/x.css">',
        "<style>@import url(https://elsewhere.org/x.css)</style>",
    ],
)
def test_what_a_page_would_fetch_is_noticed(tmp_path, line):
    (tmp_path / "page.html").write_text(f"<a href='https://may.org'>this may</a>{line}")

    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "is_offline_site.py", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "elsewhere.org" in done.stdout


def test_a_broken_link_fails(tmp_path):
    docs = copy_of_the_docs(tmp_path)
    page = docs / "index.md"
    text = page.read_text()
    page.unlink()
    page.write_text(f"{text}\n[a](no-page.md) [b](glossary.md#no-anchor)\n")

    done = build(tmp_path, docs)

    assert done.returncode != 0
    assert "'no-page.md'" in done.stderr
    assert "'#no-anchor'" in done.stderr or "glossary.md#no-anchor" in done.stderr
