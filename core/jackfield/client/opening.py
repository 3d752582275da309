"""Makes settings from the arguments of a client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jackfield.config import LoadedConfig, load_config


def load_settings(
    model: str,
    *,
    dtype: str,
    config_file: Path | str | None,
    settings: Mapping[str, Any] | None,
    plugins: Sequence[str],
    adapters: Mapping[str, str | Path] | None = None,
) -> LoadedConfig:
    """The settings of the file, then of the environment, then those given in code."""
    code = {"model.reference": model, **(settings or {})}
    code |= {f"adapters.{name}": str(path) for name, path in (adapters or {}).items()}
    if dtype != "auto":
        code["model.dtype"] = dtype
    if plugins:
        code["plugins.local"] = (*code.get("plugins.local", ()), *plugins)
    return load_config(file=None if config_file is None else Path(config_file), code=code)
