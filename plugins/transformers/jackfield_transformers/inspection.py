"""Asks Transformers' code about a config, with a model without content. Imports torch and Transformers.

`python -m jackfield_transformers.inspection` reads a question as JSON from standard input, and writes the answer as
JSON.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import nn

from jackfield.errors import UnsupportedModelError
from jackfield_transformers.base import only_logits
from jackfield_transformers.trace import NAME, as_facts, trace

# The frequencies of these ropes depend on the longest text of a batch.
_ROPES_OF_BATCHES = ("dynamic", "longrope")
_LAYER = re.compile(r".*?\.(\d+)\.(.*)")
_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")


def inspect(question: Mapping[str, Any]) -> dict[str, Any]:
    """The facts for a spec, or {"refused": why}."""
    with _quietly():
        try:
            return _facts(question["architecture"], question["config"])
        except UnsupportedModelError as error:
            return {"refused": str(error)}
        except Exception as error:  # a foreign config may break foreign code in any way
            text = f"{type(error).__name__}: {error}".partition("\n")[0]
            return {
                "refused": f"Transformers {transformers.__version__} fails on this config: {text:.300}"
            }


def make_config(architecture: str, values: Mapping[str, Any]) -> tuple[type, Any]:
    """The class of an architecture and its config. Raises UnsupportedModelError."""
    model_class = getattr(transformers, architecture, None)
    if model_class is None or not hasattr(model_class, "config_class"):
        raise UnsupportedModelError(
            f"Transformers {transformers.__version__} have no {architecture}"
        )
    known = {key: value for key, value in values.items() if key != "quantization_config"}
    return model_class, model_class.config_class.from_dict(known)


def _facts(architecture: str, values: Mapping[str, Any]) -> dict[str, Any]:
    model_class, config = make_config(architecture, values)
    _check(model_class, config)
    text: Any = config.get_text_config()
    dtype = str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")
    whole = json.loads(config.to_json_string(use_diff=False))
    whole.pop("dtype", None)  # the worker decides the dtype of the model
    with torch.device("meta"):
        model: Any = model_class._from_config(  # type: ignore[attr-defined]
            config, attn_implementation=NAME, dtype=torch.bfloat16
        ).eval()
    _check_modules(model)
    calls = trace(model)
    linears = _linears(model)
    stacked = [name for name, p in model.named_parameters() if p.dim() > 2]
    num_parameters = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    hidden_size = model.get_input_embeddings().weight.shape[-1]
    hidden = torch.empty(
        1, 1, getattr(text, "hidden_size", hidden_size), dtype=torch.bfloat16, device="meta"
    )
    logits = only_logits(model)(hidden)
    tied = bool(getattr(model, "all_tied_weights_keys", None))
    return {
        "version": transformers.__version__,
        "config": json.dumps(whole),
        "calls": as_facts(calls),
        "linears": linears,
        "stacked": stacked,
        "vocab_size": logits.shape[-1],
        "hidden_size": hidden.shape[-1],
        "max_length": _length(text),
        "dtype": dtype,
        "end_token_ids": _end_tokens(text, config),
        "tied_head": tied,
        "num_parameters": num_parameters,
    }


def _check(model_class: Any, config: Any) -> None:
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModelError("it has an encoder beside its decoder")
    if not model_class.__name__.endswith(("ForCausalLM", "LMHeadModel")):
        raise UnsupportedModelError(f"{model_class.__name__} is no language model of text alone")
    if getattr(model_class, "_is_stateful", False):
        raise UnsupportedModelError("it keeps a state of its own beside keys and values")
    if not getattr(model_class, "_supports_attention_backend", False):
        raise UnsupportedModelError(
            "its attention does not go through Transformers' AttentionInterface"
        )
    ropes = getattr(config.get_text_config(), "rope_parameters", None) or {}
    tables = (
        ropes.values() if all(isinstance(v, dict) for v in ropes.values()) and ropes else [ropes]
    )
    for table in tables:
        if table and table.get("rope_type") in _ROPES_OF_BATCHES:
            raise UnsupportedModelError(
                f"its rope is {table['rope_type']!r}, whose frequencies depend there on the longest text of a batch"
            )


def _check_modules(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv1d, nn.RNNBase)):
            raise UnsupportedModelError(
                f"{name} is a {type(module).__name__}, by which tokens see others outside of attention"
            )


def _linears(model: nn.Module) -> dict[str, str]:
    """Logical names of the linears, with their places in the model. Subclasses are left out, since they may differ."""
    found = [name for name, module in model.named_modules() if type(module) is nn.Linear]
    return {_logical(name): name for name in found}


def _logical(path: str) -> str:
    match = _LAYER.fullmatch(path)
    return f"layers.{match[1]}.{match[2]}" if match else path


def _length(text: Any) -> int:
    for key in _LENGTHS:
        if isinstance(length := getattr(text, key, None), int) and length > 0:
            return length
    raise UnsupportedModelError(f"its config names no length: none of {', '.join(_LENGTHS)}")


def _end_tokens(text: Any, config: Any) -> list[int]:
    found = text.eos_token_id if text.eos_token_id is not None else config.eos_token_id
    if found is None:
        return []
    return list(found) if isinstance(found, (list, tuple)) else [found]


class _quietly:  # noqa: N801 - reads as a word
    """Hides messages of Transformers, which matter only to a user who loads a model with it."""

    def __enter__(self) -> None:
        self._level = logging.getLogger("transformers").level
        logging.getLogger("transformers").setLevel(logging.ERROR)

    def __exit__(self, *error: object) -> None:
        logging.getLogger("transformers").setLevel(self._level)


if __name__ == "__main__":
    answer = inspect(json.load(sys.stdin))
    json.dump(answer, sys.stdout)
