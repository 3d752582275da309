"""What all conformance kits share: the plugin under test, and the failures that its author knows of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from jackfield.config.schema import PluginSettings
from jackfield.discovery.kinds import CORE_KINDS
from jackfield.discovery.registry import PluginRegistry


class ConformanceKit:
    """Subclass it in a test file, name the plugin, and pytest runs the tests of its kind.

    Raises TypeError where `expected_failures` names a test that the kit does not have.
    """

    kind: ClassVar[str] = ""  # the group without its major; the kit of a kind sets it
    name: ClassVar[str] = ""  # of the entry point
    plugins: ClassVar[tuple[str, ...]] = ()  # one-file plugins, "schedulers.mine=module:Class"
    expected_failures: ClassVar[Mapping[str, str]] = {}  # test: why; one that passes fails

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        tests = sorted(name for name in dir(cls) if name.startswith("test_"))
        for name in cls.expected_failures:
            if name not in tests:
                raise TypeError(
                    f"{cls.__name__}.expected_failures names {name!r}, which is no test of this kit; "
                    f"it has: {', '.join(tests)}"
                )

    @pytest.fixture(autouse=True)
    def _expect(self, request: pytest.FixtureRequest) -> None:
        name = request.function.__name__
        if name in self.expected_failures:
            mark = pytest.mark.xfail(reason=self.expected_failures[name], strict=True)
            request.node.add_marker(mark)

    @pytest.fixture
    def card(self) -> Any:
        """The plugin under test, found as an engine finds it."""
        return self.load()

    @classmethod
    def load(cls) -> Any:
        """The card that `name` means. Raises PluginNotFound, PluginIncompatible, PluginConflict or PluginLoadError."""
        registry = PluginRegistry.scan(PluginSettings(local=cls.plugins))
        if cls.kind not in CORE_KINDS:
            registry.serve_all()  # platforms say what their runtimes serve
        return registry.card(registry.ref(cls.kind, cls.name))
