"""Every plugin of ours runs the kit of its kind, and every kind has a kit and a scaffold."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from jackfield.discovery.kinds import CORE_KINDS
from jackfield_testing.scaffold.kinds import KINDS
from jackfield_torch.platform import TorchPlatform

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(
    path
    for pattern in ("core", "*/*", "examples/third_party/*")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
TESTS = sorted(
    path
    for pattern in ("tests/**/*.py", "examples/third_party/*/tests/*.py")
    for path in ROOT.glob(pattern)
)
# Plugins that no kit can be run for, and why.
NOT_RUN = {
    (
        "jackfield_torch.adapters",
        "lora",
    ): "the kind has no kit yet; tests/plugins/lora compares with merged weights"
}
NO_KIT = {"jackfield_torch.adapters"}  # kinds with one plugin, whose own tests stand for a kit


def entry_points():
    """(group, name, target) of all members and of the packages by others in this repository."""
    for path in PROJECTS:
        project = tomllib.loads(path.read_text())["project"]
        for group, targets in project.get("entry-points", {}).items():
            for name, target in targets.items():
                yield group, name, target


# By kind, and by KIND/PLUGIN where a distribution brings a kit with the samples of its plugin.
KITS = {
    kind: target for group, kind, target in entry_points() if group.endswith("conformance_kits")
}
PLUGINS = {
    (found[1], name)
    for group, name, _ in entry_points()
    if (found := re.fullmatch(r"(jackfield\w*\.\w+)\.v\d+", group))
}


def kit_runs(source):
    """(kind, name) of each class in a test file that extends a kit and names a plugin, or a kit that does."""
    kits = {target.partition(":")[2]: kind for kind, target in KITS.items()}  # by classes
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            kit = next((kits[base] for base in bases if base in kits), None)
            if kit is not None:
                kits[node.name] = kit
                kind, _, plugin = kit.partition("/")
                name = name_in(node) or plugin
                if name and node.name.startswith("Test"):
                    yield kind, name


def name_in(node):
    """What a class sets `name` to, if it does."""
    for line in node.body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
            if any(isinstance(target, ast.Name) and target.id == "name" for target in line.targets):
                return line.value.value
    return None


def test_every_plugin_is_run_through_the_kit_of_its_kind():
    proved = {found for path in TESTS for found in kit_runs(path.read_text())}

    assert {*PLUGINS} - proved == {*NOT_RUN}
    assert all(NOT_RUN.values())


def test_every_kind_that_is_served_has_a_kit_and_a_scaffold():
    served = {kind.name for kind in CORE_KINDS.values() if kind.majors} | {*TorchPlatform.serves}

    assert {kind for kind in KITS if "/" not in kind} == served - NO_KIT
    assert {kind.kind for kind in KINDS.values()} == served - NO_KIT


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("class TestA(CommandKit):\n    name = 'a'", {("jackfield.commands", "a")}),
        (
            "class A(CommandKit): ...\nclass TestB(A):\n    x = name = 'b'",
            {("jackfield.commands", "b")},
        ),
        ("class TestA(GgufFormatKit): ...", {("jackfield.weight_formats", "gguf")}),
        ("class A(CommandKit):\n    name = 'a'", set()),  # pytest does not run it
        ("class TestA(Other):\n    name = 'a'", set()),
    ],
)
def test_a_kit_that_runs_is_told_from_one_that_does_not(source, found):
    assert set(kit_runs(source)) == found
