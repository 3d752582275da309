"""Which architecture a config means if it says it in another way than the plugins: by a base model, or not at all."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

_FAMILY = re.compile(r"For[A-Z]|LMHead|Model$")


def with_architectures(values: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The config with `architectures` as `known` plugins call it, where one of them is meant without being named.

    A base model (`LlamaModel`) is the whole model's backbone, saved by itself. Without `architectures` Transformers goes by
    `model_type` alone. What has another head (`LlamaForSequenceClassification`) is another model and stays as it is.
    """
    names = list(values.get("architectures") or ())
    if any(name in known for name in names):
        return dict(values)
    bases = [family(name) for name in names if name.endswith("Model")]
    wanted = bases or ([] if names else [_plain(str(values.get("model_type") or ""))])
    found = [name for name in sorted(known) if family(name) in wanted]
    return {**values, "architectures": found[:1] or names}


def family(name: str) -> str:
    """The family in the name of an architecture, as a model_type writes it: LlamaForCausalLM is of `llama`."""
    return _plain(_FAMILY.split(name)[0])


def _plain(word: str) -> str:
    return word.removesuffix("_text").replace("_", "").lower()
