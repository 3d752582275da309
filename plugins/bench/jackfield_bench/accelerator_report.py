"""`jackfield bench gpu`: makes an engine for each shape, runs the work, and prints each line when it is known."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jackfield.cli.settings import load_from_arguments, settings_words
from jackfield.client import LLM
from jackfield.errors import ConfigError
from jackfield_bench.accelerator import AcceleratorWork, Figure
from jackfield_bench.outputs import RoundedBy, load_scorer
from jackfield_bench.serving import measure_startup
from jackfield_bench.shapes import DEFAULT_SHAPES, QUANTIZED, SHAPES, Shape

_START = "start"
_FIRST_PROMPT = tuple(range(16))  # token ids
# Variables with the folders of compiled kernels.
_CACHES = (
    "TRITON_CACHE_DIR",
    "CUDA_CACHE_PATH",
    "TORCHINDUCTOR_CACHE_DIR",
    "FLASHINFER_WORKSPACE_BASE",
)
_ALWAYS = {
    "select.weight_format": "dummy",
    "cache.prefix_caching": "false",
    "model.max_length": "8192",
}


def measure_shapes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures by shape and work."""
    shapes = _shapes(arguments.shape)
    if scheme := arguments.quantization:
        if scheme not in QUANTIZED:
            raise ConfigError(f"no figures for {scheme!r}; allowed: {', '.join(QUANTIZED)}")
        shapes = [shape.quantized(scheme) for shape in shapes]
    return {shape.name: _measure(shape, arguments) for shape in shapes}


def _shapes(names: list[str] | None) -> list[Shape]:
    unknown = sorted(set(names or ()) - SHAPES.keys())
    if unknown:
        raise ConfigError(f"no shape {unknown[0]!r}; allowed: {', '.join(SHAPES)}")
    return [SHAPES[name] for name in names or DEFAULT_SHAPES]


def _measure(shape: Shape, arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(shape.config), encoding="utf-8")
        named = [word.partition("=")[0] for word in arguments.set or ()]
        settings = {**_ALWAYS, **_rounding(arguments.quantization)}
        words = [f"{key}={value}" for key, value in settings.items() if key not in named]
        chosen = argparse.Namespace(
            **{**vars(arguments), "model": folder, "set": [*words, *(arguments.set or ())]}
        )
        names = arguments.work or [_START, *AcceleratorWork.default_names]
        if unknown := sorted({*names} - {_START, *AcceleratorWork.names}):
            allowed = ", ".join((_START, *AcceleratorWork.names))
            raise ConfigError(f"no work {unknown[0]!r}; allowed: {allowed}")
        found: dict[str, Any] = {}
        if _START in names:
            found[_START] = _measure_start(shape, chosen)
        if lines := [name for name in names if name != _START]:
            found |= _measure_lines(shape, chosen, lines)
    return found


def _rounding(scheme: str | None) -> dict[str, str]:
    """Settings that round the linears of the layers, but not the head."""
    if not scheme:
        return {}
    rule = f'[{{match={{module="head"}}, use="unquantized"}}, {{use="{scheme}"}}]'
    return {"select.quantization": rule, **QUANTIZED[scheme].options}


def _measure_start(shape: Shape, chosen: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Seconds of two fresh processes: with empty kernel caches, and with the caches of the first process."""
    found = {}
    with tempfile.TemporaryDirectory() as caches:
        for kind in ("cold", "warm"):
            found[kind] = measure_startup(
                settings_words(chosen),
                prompt=_FIRST_PROMPT,
                environment={name: f"{caches}/{name}" for name in _CACHES},
            )
            figures = ", ".join(f"{key} {value:.1f}" for key, value in found[kind].items())
            _tell(f"{shape.name} start, {kind}: {figures}")
    return found


def _measure_lines(
    shape: Shape, chosen: argparse.Namespace, names: Sequence[str]
) -> dict[str, Any]:
    loaded = load_from_arguments(chosen)
    began = time.perf_counter()
    with LLM.from_config(loaded) as llm:
        found: dict[str, Any] = {
            "ready_s": round(time.perf_counter() - began, 2),
            "cache_bytes_of_token": shape.cache_bytes,
        }
        _tell(f"{shape.name}: engine ready after {found['ready_s']:.1f} s")
        work = AcceleratorWork(llm, shape, chosen.repeats)
        for name in names:
            figure = work.run(name)
            found[name] = asdict(figure)
            _tell(_line(shape, figure))
    config = loaded.config
    scorer = load_scorer(chosen.scorer)
    scores = scorer(
        shape.config,
        work.texts,
        config.model.seed,
        str(shape.config["dtype"]),
        chosen.platform or "cuda",
        RoundedBy(chosen.quantization, config) if chosen.quantization else None,
    )
    for name, score in scores.items():
        found[name]["checked"] = {"passed": score.is_passed, **asdict(score)}
        _tell(f"{shape.name} {name}: {score}")
    return found


def _line(shape: Shape, figure: Figure) -> str:
    peer = "" if math.isnan(figure.peer) else f"vLLM {figure.peer:,.2f}, "
    return (
        f"{shape.name} {figure.work}: {figure.value:,.3f} {figure.unit} "
        f"({peer}floor {figure.floor:,.3f})"
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
