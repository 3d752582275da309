"""The state space of Mamba-2, read from configs, and its names in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf

from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import Mamba2, ModuleSource, Split


def state_space_modules(mixer: Mamba2, module: str, prefix: str) -> dict[str, ModuleSource]:
    """The modules of `mixer`. One matrix of the checkpoint holds z, x, b, c and dt, one after the other."""
    states = mixer.num_groups * mixer.state_size
    sizes = {"z": mixer.size, "x": mixer.size, "b": states, "c": states, "dt": mixer.num_heads}
    found, start = {}, 0
    for name, size in sizes.items():
        found[f"{module}.{name}"] = ModuleSource(f"{prefix}.in_proj", (Split(start, start + size),))
        start += size
    stored = {
        "conv": "conv1d", "a_log": "A_log", "d": "D", "dt_bias": "dt_bias", "norm": "norm", "o": "out_proj",
    }  # fmt: skip
    return found | {f"{module}.{name}": ModuleSource(f"{prefix}.{s}") for name, s in stored.items()}


def read_step_limits(config: ConfigReader) -> tuple[float, float | None]:
    """The least and the largest step; None: no limit."""
    limits = config.values.get("time_step_limit") or (0.0, float("inf"))
    if not isinstance(limits, Sequence) or len(limits) != 2:
        raise config.refuse("time_step_limit", limits, "the least and the largest step")
    # Transformers writes infinity, for which JSON has no number, as {"__float__": "Infinity"}.
    numbers = [limit["__float__"] if isinstance(limit, Mapping) else limit for limit in limits]
    least, most = map(float, numbers)
    return least, None if isinf(most) else most


def read_state_space(config: ConfigReader, size: int) -> Mamba2:
    """A state space with `size` elements in all heads and without a norm, from the keys of hybrids (`mamba_...`)."""
    num_heads = config.require("mamba_n_heads", int)
    head_size = config.values.get("mamba_d_head", "auto")
    if head_size == "auto":
        head_size = size // num_heads
    if not isinstance(head_size, int) or head_size * num_heads != size:
        raise config.refuse(
            "mamba_d_head", head_size, f"{size} elements over mamba_n_heads={num_heads}"
        )
    least, most = read_step_limits(config)
    return Mamba2(
        num_heads=num_heads,
        head_size=head_size,
        state_size=config.require("mamba_d_state", int),
        num_groups=config.require("mamba_n_groups", int),
        conv_size=config.require("mamba_d_conv", int),
        norm=None,
        conv_bias=bool(config.nullable("mamba_conv_bias", bool, True)),
        in_bias=config.get("mamba_proj_bias", bool, False),
        out_bias=config.get("mamba_proj_bias", bool, False),
        min_step=least,
        max_step=most,
    )
