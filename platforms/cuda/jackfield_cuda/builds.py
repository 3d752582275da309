"""Builds of torch and Triton, read from their files, because importing torch would take seconds."""

from __future__ import annotations

import importlib.util
import os
import re
from importlib import metadata
from pathlib import Path

from jackfield.interfaces.card import Facts

_CUDA = re.compile(r"^cuda\b[^=]*=\s*(?:['\"](?P<version>[\d.]+)['\"]|None)", re.MULTILINE)


def build_facts() -> Facts:
    """Versions of torch, of the CUDA that it was built for ("": none), and of Triton; and the folder of kernels."""
    cache = os.environ.get("TRITON_CACHE_DIR") or str(Path.home() / ".triton" / "cache")
    return {
        "torch": _version("torch"),
        "torch_cuda": torch_cuda(),
        "triton": _version("triton"),
        "kernel_cache": cache,
        "kernels_cached": _num_kernels(Path(cache)),
    }


def torch_cuda() -> str:
    """The CUDA version of torch's build, from its version.py; empty if it has none."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    found = _CUDA.search((Path(spec.origin).parent / "version.py").read_text(encoding="utf-8"))
    return (found["version"] or "") if found else ""


def _num_kernels(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*/*.cubin")) if folder.is_dir() else 0


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
