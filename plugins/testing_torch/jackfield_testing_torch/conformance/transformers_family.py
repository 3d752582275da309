"""A family in Transformers: models with random weights, and the meaning of configs by its class."""

from __future__ import annotations

import copy
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True, slots=True)
class TransformersFamily:
    """A `ConfigMeaning` of the class of its models."""

    model_class: Any
    config_class: Any
    std: float  # standard deviation of the weights

    def spelled(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config with only the family's own keys. Its values are copied."""
        names = self.config_class.attribute_map
        return {names.get(key, key): copy.deepcopy(value) for key, value in config.items()}

    def make(self, config: Mapping[str, Any]) -> Any:
        """A model whose weights depend only on their names and shapes, so that two configs share common weights."""
        made = self.config_class(**copy.deepcopy(dict(config)), attn_implementation="eager")
        with torch.random.fork_rng(devices=()), _NoDraws():
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
        except Exception:  # its checks failed, or the model cannot be computed
            return None
        return {**found, "architectures": config["architectures"]}

    def logits(self, config: Mapping[str, Any], token_ids_T: Tensor) -> Tensor | None:
        """See ConfigMeaning."""
        try:
            with warnings.catch_warnings(action="ignore"):
                return logits_of(self.make(config), token_ids_T)
        except Exception:  # as above
            return None


def logits_of(model: Any, token_ids_T: Tensor) -> Tensor:
    """logits_TV of a text from its beginning, in float32."""
    with torch.no_grad():
        found: Tensor = model(token_ids_T[None]).logits[0]
    return found.float()


def _make_noise(name: str, parameter: Tensor, std: float) -> None:
    """Keep gains of norms near their initial value, which is 1, or 0 if the family stores them minus one.

    All other initial values are replaced: some are drawn by keys of the config that have no use in a trained model.
    """
    is_gain = parameter.ndim == 1 and bool((parameter.detach() == 1).all())
    mean = 1.0 if is_gain else 0.0
    with torch.no_grad():
        parameter.copy_(_noise(name, parameter.shape, mean, std))


@lru_cache(maxsize=512)  # a family's models are made once for each changed key
def _noise(name: str, shape: torch.Size, mean: float, std: float) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.empty(shape).normal_(mean, std, generator=generator)


class _NoDraws(TorchFunctionMode):
    """Zeros in place of random initial values, whose drawing takes most of the time, and which are replaced."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func in _DRAWS:
            return torch.nn.init.zeros_(args[0] if args else named["tensor"])
        return func(*args, **named)


_DRAWS = {
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    torch.nn.init.normal_,
    torch.nn.init.uniform_,
    torch.nn.init.kaiming_uniform_,
}
