"""Finds the architecture of a config that names only a base model, or none."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

_FAMILY = re.compile(r"For[A-Z]|LMHead|Model$")


def with_architectures(values: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The config with `architectures` as `known` plugins name it, if the config means such an architecture.

    A base model (`LlamaModel`) is the backbone of a whole model, saved by itself. Without `architectures`,
    Transformers goes by `model_type` alone. A model with another head (`LlamaForSequenceClassification`) is another
    model and stays as it is.
    """
    names = list(values.get("architectures") or ())
    if any(name in known for name in names):
        return dict(values)
    bases = [family(name) for name in names if name.endswith("Model")]
    wanted = bases or ([] if names else [_plain(str(values.get("model_type") or ""))])
    found = [name for name in sorted(known) if family(name) in wanted]
    return {**values, "architectures": found[:1] or names}


def family(name: str) -> str:
    """The family in the name of an architecture, as a model_type writes it: `llama` for LlamaForCausalLM."""
    return _plain(_FAMILY.split(name)[0])


def _plain(word: str) -> str:
    return word.removesuffix("_text").replace("_", "").lower()
