"""Checkpoints that other tools made, where they lie beside the repository."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # plain_readers and rounding, for the tests of all schemes

CHECKPOINTS = Path(__file__).parents[3] / "shared" / "checkpoints"


@pytest.fixture(scope="session")
def checkpoints() -> Path:
    """Folders TOOL/NAME of checkpoints; skips where there are none."""
    if not CHECKPOINTS.is_dir():
        pytest.skip(f"there are no checkpoints of other tools in {CHECKPOINTS}")
    return CHECKPOINTS
