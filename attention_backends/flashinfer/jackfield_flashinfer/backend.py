"""The card of the FlashInfer backend."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport
from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed

if TYPE_CHECKING:
    from jackfield_torch.interfaces.attention import AttentionLimits, GroupAttention

_DTYPES = ("bfloat16", "float16")
_CACHE_DTYPES = (*_DTYPES, "float8_e4m3", "float8_e5m2")
_HEAD_SIZES = (64, 128, 256)  # sizes for which its kernels are written
_LEAST_CAPABILITY = 80
_OTHER = "or set select.attention to another one"


class FlashInferBackend(AttentionBackend):
    """FlashInfer's FlashAttention 2 kernels: any block size and group of heads, windows, soft caps, 8-bit caches."""

    features = frozenset({"attention.window", "attention.soft_cap", "attention.non_causal"})
    layouts = LayoutSupport(orders=("KBSHD", "BKSHD"), dtypes=_CACHE_DTYPES)
    capture = "uniform"
    needs_host_lengths = True  # by them, work is shared out among processors
    needs_finite_slots = True

    devices: ClassVar[tuple[str, ...]] = ("cuda",)
    module: ClassVar[str] = "flashinfer"

    def probe(self) -> Facts:
        """The installed release, why it cannot be imported, the compiler of its kernels, and the chip's capability."""
        try:
            version = metadata.version("flashinfer-python")
        except metadata.PackageNotFoundError:
            return {"flashinfer": "", "problem": "", "nvcc": "", "ninja": False, "capability": 0}
        try:
            importlib.import_module(self.module)
            problem = ""
        except Exception as error:  # a dependency that is too old may raise any error
            problem = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return {
            "flashinfer": version,
            "problem": problem,
            "nvcc": _nvcc(),
            "ninja": shutil.which("ninja") is not None,
            "capability": _capability(),
        }

    def check(self, need: AttentionNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse hosts, machines without a compiler for its kernels, old chips, float32 and other head sizes."""
        if need.device not in self.devices:
            text = f"needs an NVIDIA GPU, not {need.device}"
            return (Reason("device", text, "set select.attention to torch_sdpa"),)
        return (*_check_install(facts), *_check_need(need))

    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """Make the object that attends for one cache group."""
        from jackfield_flashinfer.attention import FlashInferAttention

        return FlashInferAttention(layout, limits, importlib.import_module(self.module))


def _check_install(facts: Facts) -> Iterator[Reason]:
    if not facts.get("flashinfer"):
        yield Reason("flashinfer", "FlashInfer is not installed", "pip install flashinfer-python")
        return
    if problem := facts.get("problem"):
        text = f"FlashInfer {facts.get('flashinfer')} cannot be imported: {problem}"
        yield Reason("flashinfer", text, "install what is missing, " + _OTHER)
    if not facts.get("nvcc"):
        text = "FlashInfer compiles its kernels here, and there is no nvcc in $CUDA_HOME/bin or on the path"
        yield Reason("nvcc", text, "install CUDA's toolkit, " + _OTHER)
    if not facts.get("ninja"):
        yield Reason("ninja", "FlashInfer compiles its kernels with ninja", "pip install ninja")
    capability = facts.get("capability")
    if isinstance(capability, int) and capability < _LEAST_CAPABILITY:
        text = (
            f"runs on chips of capability {_LEAST_CAPABILITY / 10} and newer, not {capability / 10}"
        )
        yield Reason("capability", text, _OTHER)


def _check_need(need: AttentionNeed) -> Iterator[Reason]:
    if need.dtype not in _DTYPES:
        text = f"computes in {' and '.join(_DTYPES)}, not in {need.dtype}"
        yield Reason("dtype", text, "set model.dtype to one of them")
    if need.cache_dtype not in (need.dtype, *_CACHE_DTYPES[2:]):
        text = f"reads a cache of 8-bit floats or in the dtype of the queries, not of {need.cache_dtype}"
        yield Reason("cache_dtype", text, "leave cache.dtype at auto")
    if need.head_size not in _HEAD_SIZES:
        sizes = ", ".join(map(str, _HEAD_SIZES))
        yield Reason("head_size", f"takes heads of {sizes} elements, not {need.head_size}", _OTHER)


def _nvcc() -> str:
    """The place of CUDA's compiler, searched as FlashInfer does; empty if it is not found."""
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")):
        if home and (Path(home) / "bin" / "nvcc").is_file():
            return str(Path(home) / "bin" / "nvcc")
    usual = "/usr/local/cuda/bin/nvcc"
    return shutil.which("nvcc") or (usual if Path(usual).is_file() else "")


def _capability() -> int:
    """Capability of the first card, times ten; 0 if torch sees no card."""
    import torch

    if not torch.cuda.is_available():
        return 0
    major, minor = torch.cuda.get_device_capability()
    return 10 * major + minor
