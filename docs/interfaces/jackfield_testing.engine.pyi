# Part of: jackfield_testing 0.1
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from jackfield.engine.engine import Engine
REFERENCE_SETTINGS: Mapping[str, Any] = ...
def make_engine(folder: Path, settings: Mapping[str, Any] | None=None, **model: Any) -> Engine:
    ...
