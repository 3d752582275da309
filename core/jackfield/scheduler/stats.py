"""Figures of a scheduler for logs, hooks and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerStats:
    """The state of a scheduler at one moment. Totals count from its creation."""

    num_running: int
    num_waiting: int
    num_in_flight: int  # steps in flight
    cache_usage: float  # used blocks of the fullest group, as a fraction
    num_preemptions: int  # total
    num_prompt_tokens: int  # of all admitted requests
    num_cached_tokens: int  # how many of them came from the prefix cache or a sibling
