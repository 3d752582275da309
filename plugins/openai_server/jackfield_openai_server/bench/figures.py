"""Computes figures from the times of clients: rates, percentiles, and the share of requests that met their goals."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.errors import ConfigError
from jackfield_openai_server.bench.load import Trace

PERCENTILES = (50, 90, 95, 99)
GOALS = ("ttft", "tpot", "e2el")  # names in --goodput, as in `vllm bench serve`


def parse_goals(words: Sequence[str]) -> dict[str, float]:
    """Milliseconds by name, from words like "ttft:200". Raises ConfigError."""
    goals = {}
    for word in words:
        name, _, text = word.partition(":")
        try:
            goals[name] = float(text)
        except ValueError:
            goals[name] = -1.0
        if name not in GOALS or goals[name] <= 0:
            raise ConfigError(
                f"--goodput takes {', '.join(f'{g}:MS' for g in GOALS)}; got {word!r}"
            )
    return goals


def figures_of(
    traces: Sequence[Trace], seconds: float, goals: Mapping[str, float]
) -> dict[str, Any]:
    """All figures of one run that took `seconds`."""
    done = [trace for trace in traces if trace.error is None]
    errors = [trace.error for trace in traces if trace.error is not None]
    found: dict[str, Any] = {
        "duration_s": round(seconds, 3),
        "completed": len(done),
        "failed": len(errors),
        "input_tokens": sum(trace.num_prompt_tokens for trace in done),
        "output_tokens": sum(trace.num_tokens for trace in done),
        "requests_per_s": round(len(done) / seconds, 3),
        "output_tokens_per_s": round(sum(trace.num_tokens for trace in done) / seconds, 2),
        "ttft_ms": _spread([trace.first_token_s for trace in done]),
        "tpot_ms": _spread([s for trace in done if (s := trace.per_token_s) is not None]),
        "itl_ms": _spread([gap for trace in done for gap in trace.gaps_s]),
        "e2el_ms": _spread([trace.whole_s for trace in done]),
    }
    if goals:
        num_good = sum(_is_good(trace, goals) for trace in done)
        found["goodput_requests_per_s"] = round(num_good / seconds, 3)
        found["good_share"] = round(num_good / len(traces), 4)
    if errors:
        found["errors"] = sorted(set(errors))[:5]
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    """Interpolated between the two nearest values, as by default in NumPy. Needs at least one value."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    """Mean and percentiles in milliseconds; None if there are no values."""
    if not seconds:
        return None
    found = {"mean": statistics.fmean(seconds)}
    found |= {f"p{percent}": percentile(seconds, percent) for percent in PERCENTILES}
    return {name: round(1e3 * value, 3) for name, value in found.items()}


def _is_good(trace: Trace, goals: Mapping[str, float]) -> bool:
    took_s = {
        "ttft": trace.first_token_s,
        "tpot": trace.per_token_s or 0.0,
        "e2el": trace.whole_s,
    }
    return all(1e3 * took_s[name] <= limit for name, limit in goals.items())
