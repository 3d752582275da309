"""Opens an engine on the reference platform, with a tiny model of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jackfield.config import load_config
from jackfield.engine.engine import Engine
from jackfield.startup.blueprint import make_blueprint
from jackfield_testing.models import write_model

# With these settings any folder of `write_model` can be opened, also by a client.
REFERENCE_SETTINGS: Mapping[str, Any] = {
    "select.platform": "reference",
    "select.weight_format": "dummy",  # there are no weights
}


def make_engine(folder: Path, settings: Mapping[str, Any] | None = None, **model: Any) -> Engine:
    """An engine on a tiny model, which is written to `folder`; the caller closes it.

    `settings` maps "section.key" to values; the environment and files are not read. `model` goes to `write_model`.
    """
    write_model(folder, **model)
    code = {"model.reference": str(folder), **REFERENCE_SETTINGS, **(settings or {})}
    return Engine(make_blueprint(load_config(environ={}, code=code)))
