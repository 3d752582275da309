"""A sweep as a picture: latencies and output tokens a second against the rate of requests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jackfield_openai_server.bench.canvas import Canvas, canvas_for

_WIDTH, _HEIGHT, _LEFT, _TOP = 420, 260, 64, 34  # sizes of one plot, and of its margins
_COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#7b2d8b")
_PLOTS = (
    ("time to first token, ms", "ttft_ms", ("p50", "p99")),
    ("between tokens, ms", "itl_ms", ("p50", "p99")),
    ("whole answer, ms", "e2el_ms", ("p50", "p99")),
)


def draw(path: Path, runs: Sequence[Mapping[str, Any]], title: str) -> None:
    """Write the picture. `runs`: rate (or None) and figures. Raises ConfigError if `path` is no picture."""
    xs = [run["request_rate"] or run["requests_per_s"] for run in runs]
    plots = [
        (name, {word: [_at(run, key, word) for run in runs] for word in words})
        for name, key, words in _PLOTS
    ]
    plots.append(("output tokens/s", {"": [run["output_tokens_per_s"] for run in runs]}))
    canvas = canvas_for(path, 2 * (_WIDTH + _LEFT + 24) + 16, 2 * (_HEIGHT + 78) + 40)
    canvas.text((16, 26), title, size=16)
    for number, (name, lines) in enumerate(plots):
        left = number % 2 * (_WIDTH + _LEFT + 24) + _LEFT
        top = number // 2 * (_HEIGHT + 78) + 40 + _TOP
        _plot(canvas, (left, top), name, xs, lines)
    canvas.save(path)


def _at(run: Mapping[str, Any], key: str, word: str) -> float | None:
    spread = run[key]
    return None if spread is None else float(spread[word])


def _plot(
    canvas: Canvas,
    corner: tuple[int, int],  # the upper left one
    name: str,
    xs: Sequence[float],
    lines: Mapping[str, Sequence[float | None]],
) -> None:
    left, top = corner
    values = [y for line in lines.values() for y in line if y is not None]
    x_ticks, y_ticks = _ticks(max(xs, default=1.0)), _ticks(max(values, default=1.0))
    canvas.text((left, top - 10), name, size=13)
    for tick in y_ticks:
        y = top + _HEIGHT * (1 - tick / y_ticks[-1])
        canvas.line([(left, y), (left + _WIDTH, y)], "#ddd")
        canvas.text((left - 6, y + 4), f"{tick:g}", anchor="end")
    for tick in x_ticks:
        x = left + _WIDTH * tick / x_ticks[-1]
        canvas.text((x, top + _HEIGHT + 16), f"{tick:g}", anchor="middle")
    canvas.text((left + _WIDTH / 2, top + _HEIGHT + 33), "requests/s", anchor="middle")
    for number, (word, line) in enumerate(lines.items()):
        colour = _COLOURS[number]
        points = [
            (left + _WIDTH * x / x_ticks[-1], top + _HEIGHT * (1 - y / y_ticks[-1]))
            for x, y in zip(xs, line, strict=True)
            if y is not None
        ]
        if len(points) > 1:
            canvas.line(points, colour, 2)
        for point in points:
            canvas.dot(point, colour)
        canvas.text((left + _WIDTH - 40 * (len(lines) - number), top - 10), word, colour=colour)


def _ticks(largest: float) -> list[float]:
    """Round numbers from 0 to a number that is at least `largest`."""
    if largest <= 0:
        return [0.0, 1.0]
    power = 10 ** math.floor(math.log10(largest / 4))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power * 4 >= largest)
    return [round(number * step, 10) for number in range(math.ceil(largest / step) + 1)]
