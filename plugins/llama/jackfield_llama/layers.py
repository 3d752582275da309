"""What the relatives of Llama share: one layer of RMS norms, attention and a gated feed-forward."""

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
    mixers: tuple[Attention, ...],  # one a layer
    forward: FeedForward | Experts,
    norm: Norm,
    **changes: Any,  # arguments of make_spec
) -> ModelSpec:
    """A spec of layers that differ in their mixers alone, with a norm before each half."""
    layers = tuple(
        Layer(mixer=mixer, feed_forward=forward, mixer_norm=norm, feed_forward_norm=norm)
        for mixer in mixers
    )
    return make_spec(config, layers=layers, final_norm=norm, **changes)
