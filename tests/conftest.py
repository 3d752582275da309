"""What all tests share: which are skipped by default and how to ask for them, and an environment of wheels."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from jackfield.environment import jackfield_variables

ROOT = Path(__file__).parents[1]

OPTIONAL = {
    "gpu": "needs an accelerator",
    "slow": "takes minutes or a large download",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--optional",
        action="store_true",
        help=f"also run the tests marked {' or '.join(OPTIONAL)}, which are skipped by default",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--optional"):
        return
    for item in items:
        for marker, reason in OPTIONAL.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"{marker}: {reason}; run with --optional"))


class CleanEnvironment:
    """A virtual environment with wheels of ours and nothing editable.

    What others wrote is linked into it from the environment of the tests, but for what `without` names: nothing is
    downloaded.
    """

    def __init__(self, folder: Path, without: Sequence[str] = ()) -> None:
        self._folder = folder
        self._bin = folder / "venv" / "bin"
        self._installed: set[str] = set()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        (site,) = (folder / "venv").glob("lib/python*/site-packages")
        hidden = "|".join(("__pycache__", *without))
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if not re.match(f"(__editable__.+)?_*jackfield|{hidden}", path.name):
                (site / path.name).symlink_to(path)
        for name in ("pip", "pytest"):
            program = self._bin / name
            program.write_text(f'#!/bin/sh\nexec "{self._bin}/python" -m {name} "$@"\n')
            program.chmod(0o755)

    def run(self, script: str, cwd: Path | None = None) -> str:
        """What a shell script prints, with this environment active and no setting of ours; it must succeed."""
        hidden = {*jackfield_variables(), "PYTHONPATH"}
        environ = {name: value for name, value in os.environ.items() if name not in hidden}
        environ["PATH"] = f"{self._bin}{os.pathsep}{environ['PATH']}"
        environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=cwd or self._folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def install(self, *members: str) -> None:
        """Build wheels of members ("core", "platforms/cpu") and install those that are not there yet."""
        new = [member for member in members if member not in self._installed]
        if not new:
            return
        sources = self._folder / "sources"
        for member in new:  # a build leaves files in the sources, which would enter the next wheel
            left = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
            shutil.copytree(ROOT / member, sources / member, ignore=left)
        places = " ".join(f"./{member}" for member in new)
        options = "-q --no-deps --no-build-isolation"
        self.run(f"pip wheel {options} -w ../wheels-{len(self._installed)} {places}", sources)
        self.run(f"pip install -q --no-deps wheels-{len(self._installed)}/*.whl")
        self._installed.update(new)


@pytest.fixture(scope="session")
def make_clean_environment(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., CleanEnvironment]:
    """Makes an empty environment `without` what is named; `install` adds members."""
    return lambda without: CleanEnvironment(tmp_path_factory.mktemp("clean"), without)


@pytest.fixture(scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """An environment with the wheel of the core; `install` adds other members."""
    environment = CleanEnvironment(tmp_path_factory.mktemp("clean"))
    environment.install("core")
    return environment
