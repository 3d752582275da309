"""Figures of a scheduler for logs, hooks and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerStats:
    """A moment of a scheduler; the totals count since it was made."""

    num_running: int
    num_waiting: int
    num_in_flight: int  # steps
    cache_usage: float  # used blocks of the fullest group, as a fraction
    num_preemptions: int  # in all
    num_prompt_tokens: int  # of all admitted requests
    num_cached_tokens: int  # of those, served from the prefix cache or a sibling
