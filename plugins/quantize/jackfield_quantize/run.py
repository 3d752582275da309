"""Runs the job of the command with a progress bar, and prints a line at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jackfield.config import LoadedConfig
from jackfield.errors import ConfigError
from jackfield.startup.blueprint import make_blueprint
from jackfield_quantize.job import quantise
from jackfield_quantize.recipe import Recipe


class LayerBar:
    """A bar on standard error that counts layers."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("opening", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, words: str, total: int, done: int) -> None:
        """A part of the work begins. It has `total` steps, of which `done` are done."""
        self._bar.reset(self._task, description=words, total=total, completed=done)

    def step(self) -> None:
        """A step is done."""
        self._bar.advance(self._task)


def run(loaded: LoadedConfig, recipe: Recipe, target: Path, device: str | None) -> int:
    """Quantise the model of the config into `target`. Returns 0."""
    on = _device(device)
    blueprint = make_blueprint(loaded)
    with LayerBar() as bar:
        folder = quantise(blueprint, recipe, target, bar, on)
    size = sum(path.stat().st_size for path in target.iterdir())
    how = "went on with an unfinished run; " if folder.is_resumed else ""
    sys.stdout.write(
        f"{target}: {recipe.scheme}, {recipe.bits} bits, {size / 1e6:.1f} MB ({how}format {recipe.format})\n"
    )
    return 0


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"--device {name} cannot be used here: {error}. Leave it out, or name cpu"
        ) from error
    return device
