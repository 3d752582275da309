"""The card of LoRA adapters: what it reads, what it refuses, and its options. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jackfield.config import EngineConfig
from jackfield.config.options import read_options
from jackfield.decision import Reason
from jackfield.errors import ConfigError
from jackfield.interfaces.adapters import AdapterFiles, AdapterNeed
from jackfield.interfaces.card import Facts
from jackfield_lora.peft import largest_rank, refuse
from jackfield_torch.interfaces.adapters import AdapterContext, TorchAdapterFormat

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_torch.interfaces.running_adapters import RunningAdapters

_LEAST_SLOTS, _USUAL_RANK = 4, 16
_WAYS = ("auto", "rows", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """[options.lora]."""

    max_adapters: int | None = None  # adapters at once; none: those of the config, at least 4
    max_rank: int | None = None  # none: the largest rank in the config, or 16 if it has no adapter
    # How a step is computed. rows: one adapter after another, each with its rows. all: all adapters in one product,
    # which a graph can record. auto: rows on processors, all elsewhere.
    batching: str = "auto"

    def __post_init__(self) -> None:
        for name, value in (("max_adapters", self.max_adapters), ("max_rank", self.max_rank)):
            if value is not None and value < 1:
                raise ConfigError(f"options.lora.{name} must be at least 1, got {value}")
        if self.batching not in _WAYS:
            raise ConfigError(
                f"options.lora.batching must be one of {', '.join(_WAYS)}, got {self.batching!r}"
            )

    def slots(self, num_adapters: int) -> int:
        """Places for adapters, if the config has `num_adapters`."""
        return self.max_adapters or max(num_adapters, _LEAST_SLOTS)


class Lora(TorchAdapterFormat):
    """Low-rank additions beside the linears of attention and feed-forwards, whatever their weights are stored as."""

    options = LoraOptions

    def check(self, need: AdapterNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuses what PEFT can store and this plugin does not compute, and more or larger adapters than fit."""
        if not need.modules:
            text = f"{need.model.architecture} has no linear to which it can add"
            return (Reason("model", text, "leave out the adapters"),)
        options = read_options(LoraOptions, "lora", need.config)
        most = options.slots(len(need.config.adapters))
        if len(need.adapters) > most:
            text = f"has room for {most} adapters, not for {len(need.adapters)}"
            return (Reason("adapters", text, "raise options.lora.max_adapters"),)
        max_rank = rank_limit(options, need.adapters, need.config)
        return tuple(
            reason
            for adapter in need.adapters
            for reason in refuse(adapter, need.model, need.modules, max_rank)
        )

    def create(self, context: AdapterContext) -> RunningAdapters:
        """Make the adapters of a rank."""
        from jackfield.checkpoint.adapter import read_adapters
        from jackfield_lora.running import make_adapters

        options = read_options(LoraOptions, "lora", context.config)
        found = read_adapters(context.config.adapters)
        max_rank = rank_limit(options, found, context.config)
        return make_adapters(context, options.slots(len(found)), max_rank, options.batching)


def rank_limit(
    options: LoraOptions, adapters: tuple[AdapterFiles, ...], config: EngineConfig
) -> int:
    """The largest rank that an engine takes: as its options say, or as the adapters of its config need."""
    if options.max_rank is not None:
        return options.max_rank
    started = [adapter for adapter in adapters if adapter.name in config.adapters]
    return max(map(largest_rank, started), default=0) or _USUAL_RANK
