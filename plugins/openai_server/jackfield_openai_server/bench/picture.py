"""A sweep as a picture in SVG, which every browser shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _TOP = 420, 260, 64, 34  # sizes of one plot, and of its margins
_COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#7b2d8b")
_PLOTS = (
    ("time to first token, ms", "ttft_ms", ("p50", "p99")),
    ("between tokens, ms", "itl_ms", ("p50", "p99")),
    ("whole answer, ms", "e2el_ms", ("p50", "p99")),
)


def draw(runs: Sequence[Mapping[str, Any]], title: str) -> str:
    """Latencies and output tokens a second against the rate of requests. `runs`: rate (or None) and figures."""
    xs = [run["request_rate"] or run["requests_per_s"] for run in runs]
    plots = [
        (name, {word: [_at(run, key, word) for run in runs] for word in words})
        for name, key, words in _PLOTS
    ]
    plots.append(("output tokens/s", {"": [run["output_tokens_per_s"] for run in runs]}))
    cells = [
        f'<g transform="translate({number % 2 * (_WIDTH + _LEFT + 24) + _LEFT} '
        f'{number // 2 * (_HEIGHT + 78) + 40 + _TOP})">{_plot(name, xs, lines)}</g>'
        for number, (name, lines) in enumerate(plots)
    ]
    width, height = 2 * (_WIDTH + _LEFT + 24) + 16, 2 * (_HEIGHT + 78) + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="16" y="26" font-size="16">{escape(title)}</text>{"".join(cells)}</svg>\n'
    )


def _at(run: Mapping[str, Any], key: str, word: str) -> float | None:
    spread = run[key]
    return None if spread is None else float(spread[word])


def _plot(name: str, xs: Sequence[float], lines: Mapping[str, Sequence[float | None]]) -> str:
    values = [y for line in lines.values() for y in line if y is not None]
    x_ticks, y_ticks = _ticks(max(xs, default=1.0)), _ticks(max(values, default=1.0))
    parts = [f'<text x="0" y="-10" font-weight="bold">{escape(name)}</text>']
    for tick in y_ticks:
        y = _HEIGHT * (1 - tick / y_ticks[-1])
        parts.append(f'<path d="M0 {y:.1f}H{_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x = _WIDTH * tick / x_ticks[-1]
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 33}" text-anchor="middle">requests/s</text>'
    )
    for number, (word, line) in enumerate(lines.items()):
        colour = _COLOURS[number]
        points = [
            (_WIDTH * x / x_ticks[-1], _HEIGHT * (1 - y / y_ticks[-1]))
            for x, y in zip(xs, line, strict=True)
            if y is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(
            f'<text x="{_WIDTH - 40 * (len(lines) - number)}" y="-10" fill="{colour}">{word}</text>'
        )
    return "".join(parts)


def _ticks(largest: float) -> list[float]:
    """Round numbers from 0 to a number that is at least `largest`."""
    if largest <= 0:
        return [0.0, 1.0]
    power = 10 ** math.floor(math.log10(largest / 4))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power * 4 >= largest)
    return [round(number * step, 10) for number in range(math.ceil(largest / step) + 1)]
