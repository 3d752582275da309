"""A causal language model of Transformers cut in two: the backbone, and what makes scores of its hidden states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from jackfield.errors import UnsupportedModelError


class _Output(BaseModelOutputWithPast):
    """What families give beside hidden states (logits of routers, cross attention), nobody made here."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class _Hidden(nn.Module):
    """Stands in the backbone's place and gives the hidden states that it is set to."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: Any = None

    @property
    def decoder(self) -> _Hidden:
        """Some families call their backbone's decoder."""
        return self

    def forward(self, *given: Any, **more: Any) -> _Output:
        """Whatever the backbone is given."""
        return _Output(last_hidden_state=self.hidden)


def backbone(model: Any) -> Any:
    """The part that gives hidden states. Raises UnsupportedModelError where there is none apart."""
    found = getattr(model, model.base_model_prefix, None)
    if not isinstance(found, nn.Module):
        raise UnsupportedModelError(f"{type(model).__name__} has no backbone apart from its head")
    return found


def only_logits(model: Any) -> Callable[[Tensor], Tensor]:
    """From hidden states [1, S, E] to scores [1, S, V] as the whole model makes them, with its scales and caps.

    From here on the model has no backbone of its own; who needs that takes `backbone` before.
    """
    backbone(model)
    stub = _Hidden()
    setattr(model, model.base_model_prefix, stub)

    def logits(hidden: Tensor) -> Tensor:
        stub.hidden = hidden
        scores: Tensor = model(input_ids=None, inputs_embeds=hidden, use_cache=False).logits
        stub.hidden = None
        return scores

    return logits
