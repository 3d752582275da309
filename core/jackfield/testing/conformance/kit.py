"""What all conformance kits share: the plugin under test, what it claims, and the failures its author knows of."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jackfield.activation import PluginRef
from jackfield.config.schema import PluginSettings
from jackfield.discovery.kinds import CORE_KINDS
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import JackfieldError, PluginLoadError
from jackfield.features import features_in_use
from jackfield.interfaces.card import Facts

HEAVY = ("torch", "jax", "tensorflow", "transformers")
_IMPORT = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
importlib.import_module(sys.argv[2])
print()
print(json.dumps([name for name in sys.argv[3:] if name in sys.modules]))
"""
_IMPORT_S = 60  # a machine that is busy may need some; an import that hangs needs more


class ConformanceKit:
    """Subclass it in a test file, name the plugin, and pytest runs the tests of its kind.

    Raises TypeError where `expected_failures` names a test that the kit does not have.
    """

    kind: ClassVar[str] = ""  # the group without its major; the kit of a kind sets it
    name: ClassVar[str] = ""  # of the entry point; NAME@DISTRIBUTION where several own it
    plugins: ClassVar[tuple[str, ...]] = ()  # one-file plugins, "schedulers.mine=module:Class"
    # test, or test[parameters]: why; one that passes fails
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

    @pytest.fixture(autouse=True)
    def _expect(self, request: pytest.FixtureRequest) -> None:
        for name in {request.function.__name__, request.node.name} & set(self.expected_failures):
            mark = pytest.mark.xfail(reason=self.expected_failures[name], strict=True)
            request.node.add_marker(mark)

    @pytest.fixture
    def card(self) -> Any:
        """The plugin under test, found as an engine finds it."""
        return self.load()

    @classmethod
    @cache
    def registry(cls) -> PluginRegistry:
        """What is installed, and `plugins`; probed in this process, where a debugger sees it."""
        registry = PluginRegistry.scan(PluginSettings(local=cls.plugins, probe="inline"))
        if cls.kind not in CORE_KINDS:
            registry.serve_all()  # platforms say what their runtimes serve
        return registry

    @classmethod
    def ref(cls) -> PluginRef:
        """Where the plugin comes from. Raises PluginNotFound, PluginIncompatible or PluginConflict."""
        return cls.registry().ref(cls.kind, cls.name)

    @classmethod
    def load(cls) -> Any:
        """The card that `name` means. Raises PluginNotFound, PluginIncompatible, PluginConflict or PluginLoadError."""
        return cls.registry().card(cls.ref())

    @classmethod
    def subject(cls) -> dict[str, str]:
        """What a report says of the plugin: kind, name, and where it comes from if it is found."""
        try:
            ref = cls.ref()
        except JackfieldError:
            return {"kind": cls.kind, "name": cls.name, "distribution": "", "version": ""}
        notices = cls.registry().notices(ref)
        return {
            "kind": cls.kind,
            "name": ref.name,
            "distribution": ref.distribution,
            "version": ref.version,
            "notice": "; ".join(map(str, notices)),
        }

    def facts(self) -> Facts:
        """What the plugin's probe finds here; skips the test where it says that it does not work here."""
        try:
            return self.registry().facts(self.ref())
        except PluginLoadError as error:
            cause = error.__cause__ or error
            pytest.skip(f"does not work here: {type(cause).__name__}: {cause}")

    def refusal(self, need: Any) -> str:
        """Why the plugin does not claim to serve `need`, in its own words; empty where it does."""
        card = self.load()
        missing = features_in_use(need) - card.features
        if missing and "*" not in card.features:
            return f"does not serve {', '.join(sorted(missing))}"
        self.facts()
        return "; ".join(map(str, self.registry().check(self.ref(), need)))

    def require(self, need: Any) -> None:
        """Skip the test where the plugin does not claim to serve `need`; from here on failures are its own."""
        refusal = self.refusal(need)
        if refusal:
            pytest.skip(refusal)

    def require_sample(self, need: Any, folder: Path) -> None:
        """Skip the test where the plugin refuses the kit's own sample, which lies in `folder`."""
        refusal = self.refusal(need)
        if refusal:
            text = refusal.replace(str(folder), "...")
            pytest.skip(f"refuses the kit's sample, give one with the fixture `sample`: {text}")

    def test_importing_it_loads_no_tensor_library(self) -> None:
        """In a fresh interpreter: listing and explaining plugins imports them."""
        path = json.dumps([str(Path.cwd()), *sys.path])
        module = self.ref().target.partition(":")[0]
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT, path, module, *HEAVY],
            capture_output=True,
            text=True,
            timeout=_IMPORT_S,
            check=False,
        )
        assert done.returncode == 0, f"importing {module} fails:\n{done.stderr}"
        heavy = json.loads(done.stdout.splitlines()[-1])
        assert heavy == [], f"importing {module} imports {', '.join(heavy)}"
