"""Builds of torch and Triton, read from their files, because importing torch would take seconds."""

from __future__ import annotations

import importlib.util
import os
import re
from importlib import metadata
from pathlib import Path

from jackfield.interfaces.card import Facts

_HIP = re.compile(r"^hip\b[^=]*=\s*(?:['\"](?P<version>[\w.-]+)['\"]|None)", re.MULTILINE)
_TRITONS = ("triton", "pytorch-triton-rocm", "triton-rocm")  # names of its distributions


def build_facts() -> Facts:
    """Versions of torch, of the HIP that it was built for ("": none), and of Triton; and the folder of kernels."""
    return {
        "torch": _version("torch"),
        "torch_hip": torch_hip(),
        "triton": next(filter(None, map(_version, _TRITONS)), ""),
        "kernel_cache": os.environ.get("TRITON_CACHE_DIR")
        or str(Path.home() / ".triton" / "cache"),
    }


def torch_hip() -> str:
    """The HIP version of torch's build, from its version.py; empty if it has none."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    found = _HIP.search((Path(spec.origin).parent / "version.py").read_text(encoding="utf-8"))
    return (found["version"] or "") if found else ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
