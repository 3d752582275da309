"""The parts that GPT-2's descendants share: layer norms, feed-forwards of two matrices, and fused projections."""

from __future__ import annotations

from collections.abc import Mapping

from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import ModuleSource, Norm, Split, SplitGroups


def read_layer_norm(
    config: ConfigReader, key: str = "layer_norm_epsilon", default: float = 1e-5
) -> Norm:
    """The layer norm of all layers, with weight and bias."""
    return Norm(kind="layer", epsilon=config.get(key, float, default), bias=True)


def fused_by_group(
    prefix: str, num_groups: int, sizes: tuple[int, int, int]
) -> dict[str, ModuleSource]:
    """q, k and v from one matrix whose rows form `num_groups` parts, each with `sizes` rows of q, k and v."""
    found, start = {}, 0
    for name, size in zip("qkv", sizes, strict=True):
        rows = SplitGroups(num_groups, start, start + size)
        found[f"layers.{{i}}.mixer.{name}"] = ModuleSource(prefix, (rows,))
        start += size
    return found


def fused(prefix: str, sizes: tuple[int, int, int]) -> dict[str, ModuleSource]:
    """q, k and v from one matrix, one after another, with `sizes` rows."""
    found, start = {}, 0
    for name, size in zip("qkv", sizes, strict=True):
        found[f"layers.{{i}}.mixer.{name}"] = ModuleSource(prefix, (Split(start, start + size),))
        start += size
    return found


def block(prefix: str, names: Mapping[str, str]) -> dict[str, ModuleSource]:
    """Modules of a layer below `prefix`, which ends in the layer's number `{i}`."""
    return {
        f"layers.{{i}}.{module}": ModuleSource(f"{prefix}.{name}") for module, name in names.items()
    }


def checked_heads(config: ConfigReader, hidden_size: int, num_heads: int, key: str) -> int:
    """The size of a head that shares the hidden size. Raises UnsupportedModelError."""
    if num_heads < 1 or hidden_size % num_heads:
        raise config.refuse(key, num_heads, f"divisors of the hidden size {hidden_size}")
    return hidden_size // num_heads
