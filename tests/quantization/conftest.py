"""Checkpoints that other tools made, where they lie beside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

CHECKPOINTS = Path(__file__).parents[3] / "shared" / "checkpoints"


@pytest.fixture(scope="session")
def checkpoints() -> Path:
    """Folders TOOL/NAME of checkpoints; skips where there are none."""
    if not CHECKPOINTS.is_dir():
        pytest.skip(f"there are no checkpoints of other tools in {CHECKPOINTS}")
    return CHECKPOINTS
