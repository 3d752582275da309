"""Tables on a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from jackfield.discovery.printable import printable

PIPE_WIDTH = 200  # characters, if the output is no terminal
_GAP = 2  # characters between columns


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a plain table that fits the terminal. If the longest words do not fit, print each row as several lines."""
    cells = [[printable(cell) for cell in row] for row in rows]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH
    widths = _widths([*zip(header, *cells, strict=True)], room)
    if widths is None:
        _print_lines(header, cells, title)
        return
    if title:
        print(title)
    for row in (header, *cells):
        columns = [textwrap.wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*columns, fillvalue=""):
            padded = (part.ljust(width) for part, width in zip(line, widths, strict=True))
            print((" " * _GAP).join(padded).rstrip())


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Width of each column. The widest columns shrink first, none below its longest word. None if that does not fit."""
    widths = [max(1, *map(len, column)) for column in columns]
    least = [max(1, *map(_longest_word, column)) for column in columns]
    room -= _GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max(
            (i for i in range(len(widths)) if widths[i] > least[i]), key=widths.__getitem__
        )
        widths[widest] -= 1
    return widths


def _print_lines(header: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> None:
    if title:
        print(title)
    for first, *others in rows:
        print(first)
        for name, cell in zip(header[1:], others, strict=True):
            if cell:
                print(f"  {name}: {cell}" if name else f"  {cell}")


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def gib(num_bytes: int) -> str:
    """A size for people: 1.50 GiB, or in MiB if it is smaller than a tenth of a GiB."""
    return (
        f"{num_bytes / 2**30:,.2f} GiB"
        if num_bytes >= 2**30 / 10
        else f"{num_bytes / 2**20:,.1f} MiB"
    )
