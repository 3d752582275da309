"""The code that all conformance kits share: the plugin under test, its claims, and the failures that its author knows."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest

from jackfield.activation import PluginRef
from jackfield.config.schema import PluginSettings
from jackfield.discovery.kinds import CORE_KINDS
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import JackfieldError, PluginLoadError
from jackfield.features import features_in_use
from jackfield.interfaces.card import Facts
from jackfield_testing.conformance.report import NOT_SHOWN

# Tensor libraries and drivers of devices. Listing and explaining plugins must load none of them.
HEAVY = (
    *("torch", "jax", "tensorflow", "transformers", "paddle", "mindspore", "mlx", "onnxruntime"),
    *("cupy", "pycuda", "cuda", "pynvml", "triton", "tensorrt", "numba", "pyopencl", "openvino"),
    *("torch_xla", "torch_npu", "habana_frameworks", "intel_extension_for_pytorch", "neuronxcc"),
)
_IMPORT = """
import importlib, json, sys, threading, time
path, module, heavy = json.loads(sys.argv[1])
sys.path[:] = path
started = time.perf_counter()
import jackfield.interfaces.card, jackfield.config
core_s = time.perf_counter() - started
importlib.import_module(module)
import_s = time.perf_counter() - started - core_s
loaded = [name for name in heavy if name in sys.modules]
threads = [thread.name for thread in threading.enumerate()][1:]
print()
print(json.dumps([loaded, threads, core_s, import_s]))
"""
_CORE_TIMES = 10  # an import may take so many times as long as that of the core's interfaces
_NEAR = 0.8  # likeness, up to 1, from which on one name counts as a misspelling of another
_OWN = {"name", "plugins", "expected_failures"}  # what every author writes
_IMPORT_S = 60  # enough for a busy machine; only an import that hangs takes longer


class ConformanceKit:
    """Subclass it in a test file and name the plugin; then pytest runs the tests of its kind.

    Raises TypeError if `expected_failures` names a test that the kit does not have, if a test of the kit is replaced,
    or if an attribute looks like a misspelt switch: each of these would prove less than it seems to.
    """

    kind: ClassVar[str] = ""  # the group without its major; set by the kit of a kind
    # Name of the entry point; NAME@DISTRIBUTION if several distributions use it.
    name: ClassVar[str] = ""
    plugins: ClassVar[tuple[str, ...]] = ()  # one-file plugins, "schedulers.mine=module:Class"
    # Seconds that an import may take, beside ten times as long as the core's.
    import_s: ClassVar[float] = 2.0
    # Maps a test, or test[parameters], to the reason. An expected failure that passes is a failure.
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        tests = sorted(name for name in dir(cls) if name.startswith("test_"))
        for name in cls.expected_failures:
            if name.partition("[")[0] not in tests:
                raise TypeError(
                    f"{cls.__name__}.expected_failures names {name!r}, which is no test of this kit; "
                    f"it has: {', '.join(tests)}"
                )
        for name in cls.overridden():
            if name.startswith("test_"):
                raise TypeError(
                    f"{cls.__name__} replaces {name} of {cls.kit().__name__}, whose tests are the same for all. "
                    "Name a test that fails in expected_failures, and give a test of your own another name"
                )
        cls._check_spelling()

    @classmethod
    def _check_spelling(cls) -> None:
        """Raise for a misspelt switch, which would silently keep its default."""
        kit = cls.kit()
        known = sorted(name for name in dir(kit) if not name.startswith(("_", "test_")))
        for name in _added(cls, kit):
            near = difflib.get_close_matches(name, known, 1, _NEAR)
            if near and not callable(getattr(cls, name)):
                raise TypeError(
                    f"{cls.__name__}.{name} is nothing that {kit.__name__} knows: did you mean {near[0]!r}? "
                    "If it is yours, give it a name that differs more"
                )

    @classmethod
    def kit(cls) -> type[ConformanceKit]:
        """The kit itself, without the additions of the plugin's author: the class that sets the kind."""
        return next(one for one in reversed(cls.__mro__) if getattr(one, "kind", None) == cls.kind)

    @classmethod
    def all_tests(cls) -> tuple[str, ...]:
        """The names of all tests of the kit, without parameters."""
        return tuple(sorted(name for name in dir(cls.kit()) if name.startswith("test_")))

    @classmethod
    def overridden(cls) -> tuple[str, ...]:
        """Attributes of the kit that the plugin's author replaced, except name and place of the plugin."""
        kit = cls.kit()
        names = {name for name in dir(kit) if not name.startswith("__")} - _OWN
        changed = (name for name in names if _brought_by(cls, name) is not _brought_by(kit, name))
        return tuple(sorted(changed))

    @pytest.fixture(autouse=True)
    def _expect(self, request: pytest.FixtureRequest) -> None:
        for name in {request.function.__name__, request.node.name} & set(self.expected_failures):
            mark = pytest.mark.xfail(reason=self.expected_failures[name], strict=True)
            request.node.add_marker(mark)

    @pytest.fixture(autouse=True)
    def _loaded(self, request: pytest.FixtureRequest) -> None:
        """Make the first failure to load the plugin the only one."""
        if request.function.__name__ == "test_it_can_be_loaded":
            return
        try:
            self.load()
        except JackfieldError:
            pytest.skip("it cannot be loaded: see test_it_can_be_loaded")

    @pytest.fixture
    def card(self) -> Any:
        """The plugin under test, found as an engine finds it."""
        return self.load()

    @classmethod
    @cache
    def registry(cls) -> PluginRegistry:
        """Installed plugins and `plugins`, probed in this process, where a debugger sees it."""
        registry = PluginRegistry.scan(PluginSettings(local=cls.plugins, probe="inline"))
        if cls.kind not in CORE_KINDS:
            registry.serve_all()  # platforms name the kinds of their runtimes
        return registry

    @classmethod
    def ref(cls) -> PluginRef:
        """The reference to the plugin. Raises PluginNotFound, PluginIncompatible or PluginConflict."""
        return cls.registry().ref(cls.kind, cls.name)

    @classmethod
    def load(cls) -> Any:
        """The card with that `name`. Raises PluginNotFound, PluginIncompatible, PluginConflict or PluginLoadError."""
        return cls.registry().card(cls.ref())

    @classmethod
    def subject(cls) -> dict[str, str]:
        """The plugin in a report: kind, name, and where it comes from if it is found."""
        try:
            ref = cls.ref()
        except JackfieldError:
            return {"kind": cls.kind, "name": cls.name, "distribution": "", "version": ""}
        return {
            "kind": cls.kind,
            "name": ref.name,
            "distribution": ref.distribution,
            "version": ref.version,
        }

    def facts(self) -> Facts:
        """The facts of the plugin's probe. Skips the test if the probe says that the plugin does not work here."""
        try:
            return self.registry().facts(self.ref())
        except PluginLoadError as error:
            cause = error.__cause__ or error
            pytest.skip(f"does not work here: {type(cause).__name__}: {cause}")

    @classmethod
    def facts_or_none(cls) -> Facts | None:
        """The facts for reports; None if there are none, for whatever reason."""
        try:
            return cls.registry().facts(cls.ref())
        except Exception:
            return None

    def refusal(self, need: Any) -> str:
        """Why the plugin does not claim to serve `need`, in its own words; empty if it claims to serve it."""
        card = self.load()
        missing = features_in_use(need) - card.features
        if missing and "*" not in card.features:
            return f"does not serve {', '.join(sorted(missing))}"
        self.facts()
        return "; ".join(map(str, self.registry().check(self.ref(), need)))

    def require(self, need: Any) -> None:
        """Skip the test if the plugin does not claim to serve `need`. After this call, failures are the plugin's."""
        refusal = self.refusal(need)
        if refusal:
            pytest.skip(refusal)

    def require_sample(self, need: Any, folder: Path) -> None:
        """Skip the test if the plugin refuses the kit's own sample in `folder`."""
        refusal = self.refusal(need)
        if refusal:
            text = refusal.replace(str(folder), "...")
            self.not_shown(f"refuses the kit's sample, give one with the fixture `sample`: {text}")

    def not_shown(self, reason: str) -> NoReturn:
        """Skip the test because the kit lacks something. Reports distinguish this from a plugin that claims less."""
        pytest.skip(f"{NOT_SHOWN}{reason}")

    def test_it_can_be_loaded(self) -> None:
        """The plugin is found, fits this version, and its module and class exist."""
        self.load()

    def test_importing_it_loads_no_tensor_library(self) -> None:
        """Checked in a fresh interpreter, since listing and explaining plugins imports them. No driver may be loaded
        either.
        """
        heavy, _, _, _ = self.imported()
        assert heavy == [], f"importing it imports {', '.join(heavy)}"

    def test_importing_it_starts_no_thread(self) -> None:
        """Forks would hang, and no code would end the thread."""
        _, threads, _, _ = self.imported()
        assert threads == [], f"importing it starts {', '.join(threads)}"

    def test_importing_it_takes_no_time(self) -> None:
        """Every command of jackfield imports all plugins. The limit depends on the core's own imports on this machine."""
        _, _, core_s, import_s = self.imported()
        limit_s = self.import_s + _CORE_TIMES * core_s
        assert import_s < limit_s, f"importing it takes {import_s:.1f} s, at most {limit_s:.1f} s will do"  # fmt: skip

    @classmethod
    @cache
    def imported(cls) -> tuple[list[str], list[str], float, float]:
        """Results of an import in a fresh interpreter: heavy modules, threads, seconds of the core and of the module."""
        module = cls.ref().target.partition(":")[0]
        return _import_fresh(module, (str(Path.cwd()), *sys.path))


@cache  # the kits of a module share it
def _import_fresh(module: str, path: tuple[str, ...]) -> tuple[list[str], list[str], float, float]:
    done = run_fresh(_IMPORT, [path, module, HEAVY])
    assert done.returncode == 0, f"importing {module} fails:\n{done.stderr.decode()}"
    heavy, threads, core_s, import_s = json.loads(done.stdout.splitlines()[-1])
    return heavy, threads, core_s, import_s


def run_fresh(
    script: str, argument: object, data: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a script in a fresh interpreter, with a JSON argument and standard input."""
    return subprocess.run(
        [sys.executable, "-c", script, json.dumps(argument)],
        input=data,
        capture_output=True,
        timeout=_IMPORT_S,
        check=False,
    )


def _brought_by(kit: type, name: str) -> Any:
    """The definition of a name as it was written; None if there is none."""
    return next((vars(one)[name] for one in kit.__mro__ if name in vars(one)), None)


def _added(author: type, kit: type) -> list[str]:
    """Public names that the classes between a kit and an author's class add."""
    own = (one for one in author.__mro__ if one not in kit.__mro__)
    names = {name for one in own for name in vars(one)} - {*dir(kit)}
    return sorted(name for name in names if not name.startswith("_"))
