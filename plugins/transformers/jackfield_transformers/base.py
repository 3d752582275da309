"""Cuts a causal language model of Transformers in two: the backbone, and the part that makes scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from jackfield.errors import UnsupportedModelError


class _Output(BaseModelOutputWithPast):
    """Further outputs of families beside hidden states (logits of routers, cross attention). They are None here."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class _Hidden(nn.Module):
    """Replaces the backbone, and returns the hidden states that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: Any = None

    @property
    def decoder(self) -> _Hidden:
        """The object itself: some families call their backbone's decoder."""
        return self

    def forward(self, *given: Any, **more: Any) -> _Output:
        """Return the hidden states, whatever the arguments are."""
        return _Output(last_hidden_state=self.hidden)


def backbone(model: Any) -> Any:
    """The part that gives hidden states. Raises UnsupportedModelError if it is not separate."""
    found = getattr(model, model.base_model_prefix, None)
    if not isinstance(found, nn.Module):
        raise UnsupportedModelError(f"{type(model).__name__} has no backbone apart from its head")
    return found


def only_logits(model: Any) -> Callable[[Tensor], Tensor]:
    """From hidden states [1, S, E] to scores [1, S, V] as the whole model makes them, with its scales and caps.

    After this call the model has no backbone of its own, so take `backbone` before.
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
