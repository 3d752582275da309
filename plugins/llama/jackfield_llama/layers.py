"""The code that relatives of Llama share: a layer of RMS norms, attention and a gated feed-forward."""

from __future__ import annotations

from typing import Any

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec
from jackfield.model_spec import Attention, Experts, FeedForward, Layer, ModelSpec, Norm


def read_norm(config: ConfigReader, default: float = 1e-6) -> Norm:
    """The RMS norm of all layers; `default` holds if the config has no `rms_norm_eps`."""
    return Norm(epsilon=config.get("rms_norm_eps", float, default))


def build(
    config: ConfigReader,
    mixers: tuple[Attention, ...],  # one for each layer
    # One for all layers, or one for each.
    forward: FeedForward | Experts | tuple[FeedForward | Experts, ...],
    norm: Norm,
    **changes: Any,  # arguments of make_spec
) -> ModelSpec:
    """A spec of layers with a norm before each half."""
    forwards = forward if isinstance(forward, tuple) else (forward,) * len(mixers)
    layers = tuple(
        Layer(mixer=mixer, feed_forward=each, mixer_norm=norm, feed_forward_norm=norm)
        for mixer, each in zip(mixers, forwards, strict=True)
    )
    return make_spec(config, layers=layers, final_norm=norm, **changes)
