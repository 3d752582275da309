"""`jackfield bench gpu`: makes an engine for each shape, runs the work, and prints each line as it is known."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jackfield.cli.benchmarks.accelerator import AcceleratorWork, Figure
from jackfield.cli.benchmarks.shapes import SHAPES, Shape
from jackfield.cli.settings import load_from_arguments
from jackfield.client import LLM
from jackfield.errors import ConfigError

_ALWAYS = {
    "select.weight_format": "dummy",
    "cache.prefix_caching": "false",
    "model.max_length": "8192",
}


def measure_shapes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures by shape and work."""
    return {shape.name: _measure(shape, arguments) for shape in _shapes(arguments.shape)}


def _shapes(names: list[str] | None) -> list[Shape]:
    unknown = sorted(set(names or ()) - SHAPES.keys())
    if unknown:
        raise ConfigError(f"no shape {unknown[0]!r}; allowed: {', '.join(SHAPES)}")
    return [SHAPES[name] for name in names or SHAPES]


def _measure(shape: Shape, arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(shape.config), encoding="utf-8")
        began = time.perf_counter()
        named = [word.partition("=")[0] for word in arguments.set or ()]
        words = [f"{key}={value}" for key, value in _ALWAYS.items() if key not in named]
        chosen = argparse.Namespace(
            **{**vars(arguments), "model": folder, "set": [*words, *(arguments.set or ())]}
        )
        with LLM.from_config(load_from_arguments(chosen)) as llm:
            ready_s = time.perf_counter() - began
            _tell(f"{shape.name}: engine ready after {ready_s:.1f} s")
            work = AcceleratorWork(llm, shape, arguments.repeats)
            figures = {}
            for name in arguments.work or work.all:
                if name not in work.all:
                    raise ConfigError(f"no work {name!r}; allowed: {', '.join(work.all)}")
                figures[name] = work.run(name)
                _tell(_line(shape, figures[name]))
    return {
        "ready_s": round(ready_s, 2),
        **{name: asdict(figure) for name, figure in figures.items()},
    }


def _line(shape: Shape, figure: Figure) -> str:
    checked = (
        ""
        if figure.margin is None
        else f", {figure.exact:.1%} ranked first again, margin {figure.margin:.3f}"
    )
    return (
        f"{shape.name} {figure.work}: {figure.value:,.3f} {figure.unit} "
        f"(vLLM {figure.peer:,.2f}, floor {figure.floor:,.3f}{checked})"
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
