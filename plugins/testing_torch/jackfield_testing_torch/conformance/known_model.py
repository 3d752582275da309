"""Tiny models whose answers are known: a config, tensors, and the logits that they must give."""

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

LENGTH = 48  # tokens of the text whose logits are compared
STD = 0.2  # of weights: with the usual 0.02 many mistakes are too small to be seen
_EPSILON = 0.3  # of norms, under whatever key: with the usual 1e-6 a wrong one is not seen
TINY: Mapping[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 24,  # not hidden_size over heads
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
    """What a reference makes of any config of its family, not only of the one whose answers are known."""

    def complete(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The config with all that it leaves to defaults or says in an older spelling; None where it is refused."""

    def logits(self, config: Mapping[str, Any], token_ids_T: Tensor) -> Tensor | None:
        """logits_TV of a model of the config, with the same weights; None where it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A tiny model, and what it must answer."""

    config: Mapping[str, Any]  # as config.json, with `architectures`
    tensors: Mapping[str, Tensor]  # all that its checkpoint holds, in float32, by their names there
    logits: Callable[[Tensor], Tensor]  # logits_TV of token_ids_T, a text from its beginning
    # the same config as somebody writes it: keys left out, older spellings; empty: is not known
    written: Mapping[str, Any] = field(default_factory=dict)
    meaning: ConfigMeaning | None = None  # None: what other configs mean is not known


def transformers_model(
    name: str,
    changes: Mapping[str, Any],
    config_name: str = "",
    answers: Callable[[Any, Tensor], Tensor] = logits_of,
) -> KnownModel:
    """The class `name` of Transformers with noise for weights; its config is TINY, where it has the key, and `changes`.

    `config_name` is the class of the config, if it is another than that of the model. `answers` of a model and token_ids_T
    are what is compared.

    Skips the test where Transformers is not installed or has no such class.
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
    """True for what a config stores; some compute the size of a head and can only be asked for it."""
    found = getattr(type(config), key, None)
    return hasattr(config, key) and not (isinstance(found, property) and found.fset is None)


def write_known_model(model: KnownModel, folder: Path) -> None:
    """A folder as hubs lay it out, without a tokenizer."""
    stored = {
        name: SampleTensor(FLOAT32, tuple(tensor.shape), _bytes(tensor))
        for name, tensor in model.tensors.items()
    }
    (folder / "config.json").write_text(json.dumps(dict(model.config)))
    data = safetensors_bytes(dict.fromkeys(stored, "F32"), stored)
    (folder / "model.safetensors").write_bytes(data)


def random_text(vocab_size: int, length: int = LENGTH) -> Tensor:
    """token_ids_T, always the same."""
    return torch.randint(vocab_size, (length,), generator=torch.Generator().manual_seed(3))


@dataclass(slots=True)
class MemoryCheckpoint(Checkpoint):
    """A checkpoint of tensors in memory that remembers which were read."""

    model: KnownModel
    changed: Mapping[str, Tensor | None] = field(default_factory=dict)  # None: is not there
    used: set[str] = field(default_factory=set)

    @property
    def config(self) -> Mapping[str, Any]:
        return self.model.config

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        return {
            name: TensorInfo(name, FLOAT32, tuple(tensor.shape), "memory")
            for name, tensor in self._stored.items()
        }

    def read(self, name: str) -> memoryview:
        self.used.add(name)
        return memoryview(_bytes(self._stored[name]))

    def close(self) -> None:
        """There is nothing to release."""

    @property
    def _stored(self) -> dict[str, Tensor]:
        stored = {**self.model.tensors, **self.changed}
        return {name: tensor for name, tensor in stored.items() if tensor is not None}


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _saved(model: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors in the names that checkpoints have, which need not be those in memory."""
    from safetensors.torch import load_file  # comes with Transformers

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads(Path(folder, "config.json").read_text())
        return config, load_file(Path(folder, "model.safetensors"))
