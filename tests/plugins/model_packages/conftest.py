"""A folder of wheels that tests fill, and the only place where pip looks."""

import pytest

from jackfield_model_packages.testing import WheelFolder


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    made = WheelFolder(tmp_path / "wheels")
    made.take_over(monkeypatch)
    return made
