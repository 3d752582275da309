"""A family in Transformers: models of noise, and what a config means to its class."""

from __future__ import annotations

import copy
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TransformersFamily:
    """A `ConfigMeaning`, by the class of its models."""

    model_class: Any
    config_class: Any
    std: float  # of the weights

    def spelled(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config in the family's own keys, without those that it does not have; what it holds is copied."""
        names = self.config_class.attribute_map
        return {names.get(key, key): copy.deepcopy(value) for key, value in config.items()}

    def make(self, config: Mapping[str, Any]) -> Any:
        """A model whose weights depend on their names and shapes alone: two configs share what both have."""
        made = self.config_class(**copy.deepcopy(dict(config)), attn_implementation="eager")
        with torch.random.fork_rng(devices=()):
            model = self.model_class(made).float().eval()
        saved = set(model.state_dict())
        buffers = ((name, buffer) for name, buffer in model.named_buffers() if name in saved)
        for name, tensor in (*model.named_parameters(), *buffers):
            _make_noise(name, tensor, self.std)
        return model

    def complete(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See ConfigMeaning."""
        try:
            with warnings.catch_warnings(action="ignore"):
                found = self.config_class(**copy.deepcopy(dict(config))).to_dict()
        except Exception:  # of whatever kind: its checks, or a sum that does not come out
            return None
        return {**found, "architectures": config["architectures"]}

    def logits(self, config: Mapping[str, Any], token_ids_T: Tensor) -> Tensor | None:
        """See ConfigMeaning."""
        try:
            with warnings.catch_warnings(action="ignore"):
                return logits_of(self.make(config), token_ids_T)
        except Exception:  # likewise
            return None


def logits_of(model: Any, token_ids_T: Tensor) -> Tensor:
    """logits_TV of a text from its beginning, in float32."""
    with torch.no_grad():
        found: Tensor = model(token_ids_T[None]).logits[0]
    return found.float()


def _make_noise(name: str, parameter: Tensor, std: float) -> None:
    """Gains of norms stay around what they are at first: 1, or 0 where the family stores them minus one.

    So does nothing else: other first values are drawn by keys of the config that a trained model has no use for.
    """
    is_gain = parameter.ndim == 1 and bool((parameter.detach() == 1).all())
    mean = 1.0 if is_gain else 0.0
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    torch.nn.init.normal_(parameter, mean, std, generator=generator)
