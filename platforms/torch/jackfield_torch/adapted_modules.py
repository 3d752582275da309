"""Which linears of a model adapters can change. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from jackfield.model_spec import Attention, Experts, FeedForward, Layer, ModelSpec, ParallelMixers


def adapted_modules(spec: ModelSpec) -> frozenset[str]:
    """The linears of softmax attention and of dense feed-forwards; none of a model that runs as foreign code."""
    if spec.foreign is not None:
        return frozenset()
    found = {
        f"layers.{index}.{name}"
        for index, layer in enumerate(spec.layers)
        for name in _of_layer(layer)
    }
    return frozenset(found & {*spec.linears})


def _of_layer(layer: Layer) -> Iterator[str]:
    if isinstance(layer.mixer, Attention):
        yield from (f"mixer.{name}" for name in ("q", "k", "v", "gate", "o"))
    if isinstance(layer.mixer, ParallelMixers):
        yield from (f"mixer.attention.{name}" for name in ("q", "k", "v", "gate", "o"))
    forward = layer.feed_forward
    if isinstance(forward, FeedForward):
        yield from (f"feed_forward.{name}" for name in forward.linears)
    if isinstance(forward, Experts) and forward.shared is not None:
        yield from (f"feed_forward.shared.{name}" for name in forward.shared.linears)
