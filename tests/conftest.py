"""Shared by all tests: what is left out by default, distributions, environments made of wheels, and the program."""

import gc
import os
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from jackfield.cli.main import main
from jackfield.config import PluginSettings
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.scan import scan_installed
from jackfield.environment import jackfield_variables

ROOT = Path(__file__).parents[1]

OPTIONAL = {
    "gpu": "needs an accelerator",
    "slow": "takes minutes or a large download",
    "wheels": "builds wheels for environments of their own",
    "thorough": "many cases, or faults that are planted in kits",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--optional",
        action="store_true",
        help=f"also run the tests marked {' or '.join(OPTIONAL)}, which are left out by default",
    )


# Tests of the kit of models that try every key or tensor of a config, or another schedule of an engine. They are
# thorough for all configs of a family but the first.
REPEATED = {
    "test_a_broken_config_is_refused_in_words",
    "test_a_key_that_is_left_out_means_the_default_of_the_reference",
    "test_a_key_that_is_not_read_changes_no_answer",
    "test_a_prefix_that_is_used_again_changes_nothing",
    "test_a_tensor_of_another_shape_is_an_error_that_names_it",
    "test_a_tensor_that_is_missing_is_an_error_that_names_it",
    "test_rows_may_come_in_any_order",
}
# One test that takes 15 s: it makes a model of images for each key. The keys of its text are tried with TestLlama4.
LONG = "TestLlama4ThatSees::test_a_key_that_is_not_read_changes_no_answer"


# What releases of Transformers before this one compute otherwise than the authors, or lack. Machines with an accelerator
# come with packages of their own, so their tests meet older releases.
NEWER_REFERENCE = "5.18"
NEEDS_NEWER_REFERENCE = (
    "TestGemma::*[[]old gelu]",
    "TestGptOss::*",
    "TestMamba2::*",
    "TestBamba::*",
    "TestGraniteHybrid::*",
    "TestInternLM3::*",
    "TestIQuestCoder::*",
)


def pytest_report_header(config: pytest.Config) -> list[str]:
    if config.getoption("--optional"):
        return []
    return [f"without --optional, tests marked {' or '.join(OPTIONAL)} are left out"]


def _is_whole_left_out(config: pytest.Config) -> bool:
    """True if optional tests are not even collected; if a test is named, it says itself why it does not run."""
    return not config.getoption("--optional") and not any(
        "::" in word or word.endswith(".py") for word in config.args
    )


def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> list[pytest.Item] | None:
    """Make no tests of a class that is left out: finding the cases that its kit would run takes seconds."""
    marks = getattr(obj, "pytestmark", ()) if isinstance(obj, type) else ()
    is_optional = any(mark.name in OPTIONAL for mark in marks)
    return [] if is_optional and _is_whole_left_out(collector.config) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    first_cases: dict[str, str] = {}
    for item in items:
        name, _, case = item.nodeid.partition("[")
        is_repeated = name.rpartition("::")[2] in REPEATED and "case" in item.fixturenames
        if (is_repeated and first_cases.setdefault(name, case) != case) or name.endswith(LONG):
            item.add_marker(pytest.mark.thorough)
        if "make_clean_environment" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.wheels)
    _skip_without_reference(items)
    if config.getoption("--optional"):
        return
    left_out = [item for item in items if any(map(item.get_closest_marker, OPTIONAL))]
    if _is_whole_left_out(config):
        config.hook.pytest_deselected(items=left_out)
        gone = {*left_out}
        items[:] = [item for item in items if item not in gone]
        return
    for item in left_out:
        marker = next(filter(item.get_closest_marker, OPTIONAL))
        reason = f"{marker}: {OPTIONAL[marker]}; run with --optional"
        item.add_marker(pytest.mark.skip(reason=reason))


def _skip_without_reference(items: list[pytest.Item]) -> None:
    try:
        release = metadata.version("transformers")
    except metadata.PackageNotFoundError:
        return
    if Version(release).release >= Version(NEWER_REFERENCE).release:
        return
    reason = f"needs Transformers {NEWER_REFERENCE}, found {release}"
    for item in items:
        name = item.nodeid.partition("::")[2]
        if any(fnmatchcase(name, pattern) for pattern in NEEDS_NEWER_REFERENCE):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Exempt all that was imported and collected from garbage collection, which would search it each time."""
    gc.collect()
    gc.freeze()


class Distributions:
    """Writes `NAME-VERSION.dist-info` and modules into folders of their own; a later one stands first on the path."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._count = 0

    def add(self, name, entry_points, *, version="1.0", modules=None, metadata=None):
        """Install a distribution. `entry_points` maps groups to names and targets, `modules` names to source."""
        self._count += 1
        folder = self.folder / f"{self._count}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(text if metadata is None else metadata)
        lines = []
        for group, targets in entry_points.items():
            lines += [f"[{group}]", *(f"{key} = {target}" for key, target in targets.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in (modules or {}).items():
            (folder / f"{module}.py").write_text(textwrap.dedent(source))
        self._monkeypatch.syspath_prepend(str(folder))
        return folder

    def scan(self, **settings) -> PluginRegistry:
        """A registry of these distributions alone: the first-party ones are denied. They are tried here at once."""
        deny = (*scan_installed().first_party, *settings.pop("deny", ()))
        return PluginRegistry.scan(PluginSettings(deny=deny, **{"probe": "inline", **settings}))


@pytest.fixture
def distributions(tmp_path, monkeypatch):
    before = set(sys.modules)
    yield Distributions(tmp_path / "site", monkeypatch)
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


class Wheelhouse:
    """The source of an environment's distributions: wheels of members, built once, and all others as installed here.

    Nothing is downloaded.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._site = folder / "site"
        self._members: dict[str, Path] = {}
        self._projects: dict[str, dict[str, Any]] = {}
        for pattern in ("core", "*/*"):
            for path in ROOT.glob(f"{pattern}/pyproject.toml"):
                project = tomllib.loads(path.read_text())["project"]
                self._members[project["name"]] = path.parent
                self._projects[project["name"]] = project
        self._built: set[str] = set()
        self._num_builds = 0

    def find(self, name: str) -> metadata.Distribution:
        """The distribution of that name. A member must be built already. Raises LookupError."""
        name = canonicalize_name(name)
        if name in self._built:
            (found,) = metadata.Distribution.discover(name=name, path=[str(self._site)])
            return found
        if name.startswith("jackfield"):
            raise LookupError(f"{name} is no member of the workspace")
        try:
            return metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            raise LookupError(f"{name} is not installed where the tests run") from error

    def _build_members(self, requirements: Iterable[Requirement]) -> None:
        """Build all members that the requirements reach, in one run of pip, which is faster than several runs."""
        wanted: set[str] = set()
        seen: set[tuple[str, str]] = set()
        waiting = [*requirements]
        while waiting:
            requirement = waiting.pop()
            project = self._projects.get(name := canonicalize_name(requirement.name))
            if project is None:
                continue
            wanted.add(name)
            for extra in {"", *requirement.extras}:
                if (name, extra) not in seen:
                    seen.add((name, extra))
                    lines = project.get("optional-dependencies", {}).get(extra, ())
                    waiting += map(Requirement, lines if extra else project["dependencies"])
        if missing := sorted(wanted - self._built):
            wheels = self.build(*(self._members[name] for name in missing))
            pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
            subprocess.run([*pip, self._site, *wheels], check=True)
            self._built |= {*missing}

    def build(self, *folders: Path) -> list[Path]:
        """The wheels of packages. They are built from copies, because files that a build leaves would enter the next wheel."""
        self._num_builds += 1
        place = self._folder / f"{self._num_builds}"
        left = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__")
        for number, folder in enumerate(folders):
            shutil.copytree(folder, place / f"{number}", ignore=left)
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
        sources = [place / f"{number}" for number in range(len(folders))]
        # Compiling kernels takes long, and `make wheels` does it.
        no_compiler = {"CC": "false", "CXX": "false"}
        subprocess.run(
            [*pip, "-w", place / "wheels", *sources], env={**os.environ, **no_compiler}, check=True
        )
        return sorted((place / "wheels").iterdir())

    def closure(self, requirements: Iterable[str]) -> Iterator[metadata.Distribution]:
        """The distributions that the requirements name, and all that these require, with extras. Raises LookupError."""
        seen: set[tuple[str, str]] = set()
        waiting = [Requirement(line) for line in requirements]
        self._build_members(waiting)
        while waiting:
            wanted = waiting.pop()
            found = self.find(wanted.name)
            if not wanted.specifier.contains(found.version, prereleases=True):
                raise LookupError(f"{wanted} is required, {wanted.name} {found.version} is here")
            if unknown := wanted.extras - {*(found.metadata.get_all("Provides-Extra") or ())}:
                raise LookupError(f"{wanted.name} has no extra {', '.join(unknown)}")
            for extra in {"", *wanted.extras}:
                if (found.name, extra) in seen:
                    continue
                seen.add((found.name, extra))
                waiting += required(found, extra)
                yield found


def required(distribution: metadata.Distribution, extra: str) -> Iterator[Requirement]:
    """The requirements of a distribution on this machine, with one of its extras or with none ("")."""
    for line in distribution.requires or ():
        requirement = Requirement(line)
        marker, requirement.marker = requirement.marker, None
        if marker is None or marker.evaluate({"extra": extra}):
            yield requirement


class CleanEnvironment:
    """A virtual environment with pip and the required distributions only. An import that no package declares fails."""

    def __init__(self, folder: Path, wheelhouse: Wheelhouse) -> None:
        self._folder = folder
        self._bin = folder / "venv" / "bin"
        self._wheelhouse = wheelhouse
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        (self._site,) = (folder / "venv").glob("lib/python*/site-packages")
        self.require("pip")

    def run(self, script: str, cwd: Path | None = None) -> str:
        """The output of a shell script in this environment, without settings of ours. The script must succeed."""
        hidden = {*jackfield_variables(), "PYTHONPATH"}
        environ = {name: value for name, value in os.environ.items() if name not in hidden}
        environ["PATH"] = f"{self._bin}{os.pathsep}{environ['PATH']}"
        environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        environ["PIP_NO_INDEX"] = "1"
        environ["OMP_NUM_THREADS"] = "1"  # threads of models this small wait for each other
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

    def require(self, *requirements: str) -> None:
        """Link the distributions that the requirements name, and all that these require. Raises LookupError."""
        for distribution in self._wheelhouse.closure(requirements):
            for name in {file.parts[0] for file in distribution.files or ()} - {
                "..",
                "__pycache__",
            }:
                if not (self._site / name).exists():
                    (self._site / name).symlink_to(distribution.locate_file(name))
            for entry in distribution.entry_points.select(group="console_scripts"):
                self._write_program(entry)

    def install(self, folder: Path, extra: str = "test") -> None:
        """Install the wheel of a package as `pip install WHEEL[extra]` does. Raises LookupError."""
        (wheel,) = self._wheelhouse.build(folder)
        with ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            text = archive.read(name).decode()
        (self._folder / f"{wheel.stem}.dist-info").mkdir()
        (self._folder / f"{wheel.stem}.dist-info" / "METADATA").write_text(text)
        found = metadata.Distribution.at(self._folder / f"{wheel.stem}.dist-info")
        self.require(*(str(line) for word in ("", extra) for line in required(found, word)))
        self.run(f"pip install -q --no-deps '{wheel}' && pip check")

    def _write_program(self, entry: metadata.EntryPoint) -> None:
        program = self._bin / entry.name
        code = f"import sys; from {entry.module} import {entry.attr} as main; sys.exit(main())"
        program.write_text(f'#!/bin/sh\nexec "{self._bin}/python" -P -c "{code}" "$@"\n')
        program.chmod(0o755)


@pytest.fixture(scope="session")
def make_clean_environment(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., CleanEnvironment]:
    """Makes environments with requirements, from wheels of members and from distributions that are installed here."""
    wheelhouse = Wheelhouse(tmp_path_factory.mktemp("wheelhouse"))

    def make(*requirements: str) -> CleanEnvironment:
        environment = CleanEnvironment(tmp_path_factory.mktemp("clean"), wheelhouse)
        environment.require(*requirements)
        return environment

    return make


@dataclass
class Done:
    status: int
    out: str
    err: str


@pytest.fixture
def jackfield(capsys, monkeypatch, tmp_path):
    """Runs the program in this process, with an environment of its own."""
    for name in jackfield_variables():
        monkeypatch.delenv(name)
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))

    def run(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as leaving:  # argparse: --help, --version and wrong usage
            status = leaving.code
        return Done(status, *capsys.readouterr())

    return run
