import ast
import subprocess
import sys
from pathlib import Path

import pytest

import jackfield

STUB = Path(jackfield.__file__).with_suffix(".pyi")
LAZY = jackfield._HOMES


@pytest.mark.parametrize("name", LAZY)
def test_each_exported_name_is_there(name):
    assert getattr(jackfield, name).__name__ == name
    assert name in dir(jackfield)


def test_the_stub_for_type_checkers_names_the_same():
    tree = ast.parse(STUB.read_text())
    imported = {
        (alias.asname, node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert imported == set(LAZY.items())


def test_nothing_is_imported_before_it_is_used():
    code = "import jackfield, sys; print(*[m for m in sys.modules if m.startswith('jackfield')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["jackfield"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'LMM'"):
        getattr(jackfield, "LMM")  # noqa: B009  # mypy and ruff know that it is not there
