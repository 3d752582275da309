"""Tiny models with known answers: a config, tensors, and the logits that they must give."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch
from torch import Tensor

from jackfield.dtypes import FLOAT32
from jackfield.interfaces.weights import Checkpoint, TensorInfo
from jackfield_testing.conformance.report import NOT_SHOWN
from jackfield_testing.conformance.samples import SampleTensor, safetensors_bytes
from jackfield_testing_torch.conformance.transformers_family import TransformersFamily, logits_of

LENGTH = 48  # tokens of the compared text
# Standard deviation of the weights. With the usual 0.02 many mistakes would be too small to be noticed.
STD = 0.2
# Epsilon of norms, for every key that means it. With the usual 1e-6 a wrong one would not be noticed.
_EPSILON = 0.3
TINY: Mapping[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 24,  # differs from hidden_size / num_attention_heads
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 5,
    "rms_norm_eps": _EPSILON,
    "layer_norm_eps": _EPSILON,
    "layer_norm_epsilon": _EPSILON,
    "norm_epsilon": _EPSILON,
    "norm_eps": _EPSILON,
}
"""The config of a tiny decoder, in the keys that most families share."""


class ConfigMeaning(Protocol):
    """The reference's reading of any config of its family."""

    def complete(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The config with all defaults filled in, and without older spellings; None if the reference refuses it."""

    def logits(self, config: Mapping[str, Any], token_ids_T: Tensor) -> Tensor | None:
        """logits_TV of a model with this config and the same weights; None if the reference refuses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A tiny model and its right answers."""

    config: Mapping[str, Any]  # the content of config.json, with `architectures`
    tensors: Mapping[str, Tensor]  # all tensors of the checkpoint in float32, by name
    logits: Callable[[Tensor], Tensor]  # token_ids_T of a text from its beginning to logits_TV
    # The same config with keys left out and older spellings; empty if there is no such config.
    written: Mapping[str, Any] = field(default_factory=dict)
    meaning: ConfigMeaning | None = None  # None: the meaning of other configs is not known


def transformers_model(
    name: str,
    changes: Mapping[str, Any],
    config_name: str = "",
    answers: Callable[[Any, Tensor], Tensor] = logits_of,
) -> KnownModel:
    """A model of the class `name` of Transformers, with noise as weights.

    Its config has the keys of TINY that the class knows, and `changes`. `config_name` is the class of the config, if it
    differs from that of the model's class. `answers` computes the compared values from a model and token_ids_T.

    Skips the test if Transformers is not installed or has no such class.
    """
    reason = f"{NOT_SHOWN}needs Transformers to compare with, or a `reference` of the kit (pip install transformers)"
    transformers = pytest.importorskip("transformers", reason=reason)
    model_class = getattr(transformers, name, None)
    if model_class is None:
        pytest.skip(
            f"{NOT_SHOWN}Transformers {transformers.__version__} has no {name} to compare with; name its class "
            "in `transformers_class` of the kit, or give a `reference`"
        )
    config_class = getattr(transformers, config_name) if config_name else model_class.config_class
    family = TransformersFamily(model_class, config_class, STD)
    known = config_class()
    shared = {key: value for key, value in TINY.items() if _takes(known, key)}
    written = family.spelled({**shared, **changes})
    model = family.make(written)
    saved, tensors = _saved(model)
    return KnownModel(
        config={**saved, "architectures": [name]},
        tensors=tensors,
        logits=partial(answers, model),
        written={**written, "architectures": [name]},
        meaning=family,
    )


def _takes(config: Any, key: str) -> bool:
    """True if the config stores this key. Some configs compute the head size, and do not let it be set."""
    found = getattr(type(config), key, None)
    return hasattr(config, key) and not (isinstance(found, property) and found.fset is None)


def write_known_model(model: KnownModel, folder: Path) -> None:
    """Write the model's files into a folder, without a tokenizer."""
    stored = {
        name: SampleTensor(FLOAT32, tuple(tensor.shape), _bytes(tensor))
        for name, tensor in model.tensors.items()
    }
    (folder / "config.json").write_text(json.dumps(dict(model.config)))
    data = safetensors_bytes(dict.fromkeys(stored, "F32"), stored)
    (folder / "model.safetensors").write_bytes(data)


def random_text(vocab_size: int, length: int = LENGTH) -> Tensor:
    """Random token_ids_T, the same in every call."""
    return torch.randint(vocab_size, (length,), generator=torch.Generator().manual_seed(3))


@dataclass(slots=True)
class MemoryCheckpoint(Checkpoint):
    """A checkpoint of tensors in memory that remembers the names of the read ones."""

    model: KnownModel
    changed: Mapping[str, Tensor | None] = field(default_factory=dict)  # None: left out
    used: set[str] = field(default_factory=set)
    _stored: dict[str, Tensor] = field(init=False)
    _infos: dict[str, TensorInfo] = field(init=False)

    def __post_init__(self) -> None:
        stored = {**self.model.tensors, **self.changed}
        self._stored = {name: tensor for name, tensor in stored.items() if tensor is not None}
        self._infos = {
            name: TensorInfo(name, FLOAT32, tuple(tensor.shape), "memory")
            for name, tensor in self._stored.items()
        }

    @property
    def config(self) -> Mapping[str, Any]:
        return self.model.config

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        return self._infos

    def read(self, name: str) -> memoryview:
        self.used.add(name)
        return memoryview(_bytes(self._stored[name]))

    def close(self) -> None:
        """Does nothing."""


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _saved(model: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The saved config and tensors. Names in checkpoints may differ from those in memory."""
    from safetensors.torch import load_file  # a dependency of Transformers

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads(Path(folder, "config.json").read_text())
        return config, load_file(Path(folder, "model.safetensors"))
