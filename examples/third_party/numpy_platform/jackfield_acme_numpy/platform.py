"""The card: says what this platform computes without importing NumPy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import version

from jackfield.config import EngineConfig, Scalar
from jackfield.decision import Reason
from jackfield.dtypes import FLOAT32, parse_dtype
from jackfield.interfaces.card import Facts
from jackfield.interfaces.platform import ChoicePoint, Platform, PlatformNeed
from jackfield.interfaces.worker import Worker, WorkerContext
from jackfield.model_spec import ModelSpec

# What models may use, and how tokens may be drawn. The core refuses all else (layer norms, several ranks, ...).
_FEATURES = {
    "norm": ("weight_offset",),
    "rope": ("scaling",),
    "rope_scaling": ("kind=llama3", "original_length", "low_frequency", "high_frequency"),
    "attention": ("rope", "window", "soft_cap", "qkv_bias", "out_bias", "q_norm", "k_norm"),
    "feed_forward": ("activation=gelu_tanh", "bias"),
    "layer": ("mixer_post_norm", "feed_forward_post_norm"),
    "model": ("tied_head", "embedding_scale", "logit_scale", "logit_soft_cap"),
    "sampling": (
        *("min_tokens", "top_p", "top_k", "min_p", "logit_bias", "logprobs", "prompt_logprobs"),
        *("repetition_penalty", "presence_penalty", "frequency_penalty"),
    ),
}


class NumpyPlatform(Platform):
    """Computes on the processor with the BLAS that NumPy was built with."""

    features = frozenset(f"{word}.{name}" for word, names in _FEATURES.items() for name in names)
    facts_last = False  # free memory changes
    precedence = -1  # after platforms for hosts that have their own kernels

    def probe(self) -> Facts:
        """The version of NumPy and the free memory."""
        return {"device": "cpu", "numpy": version("numpy"), "available_bytes": available_bytes()}

    def check(self, need: PlatformNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse all dtypes but float32: NumPy has no bfloat16, and no fast float16."""
        if need.dtype == "auto" or parse_dtype(need.dtype) == FLOAT32:
            return ()
        text = f"computes in float32, not in {need.dtype}"
        return (Reason("dtype", text, "set model.dtype to float32"),)

    def defaults(self, facts: Facts) -> Mapping[str, Scalar]:
        """float32, whatever the checkpoint was trained in."""
        return {"model.dtype": "float32"}

    def choices(
        self, spec: ModelSpec, config: EngineConfig, facts: Facts
    ) -> tuple[ChoicePoint, ...]:
        """No choice points: this platform has one way to attend and one to multiply."""
        return ()

    def create_worker(self, context: WorkerContext) -> Worker:
        """Create the worker, which imports NumPy."""
        from jackfield_acme_numpy.worker import NumpyWorker

        return NumpyWorker(context)


def available_bytes() -> int:
    """The memory that no process uses, or half of all memory if the system does not report it."""
    if "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
