"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jackfield.discovery.printable import printable

PIPE_WIDTH = 200  # columns where the output is no terminal


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a plain table that fits the terminal."""
    from rich.console import Console  # heavy: not for `--help`
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=title or None, title_justify="left")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(printable(cell).replace("[", r"\[") for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    console.print(table)


def gib(num_bytes: int) -> str:
    """A size for people: 1.50 GiB, or in MiB where it is smaller than a tenth of one."""
    return (
        f"{num_bytes / 2**30:,.2f} GiB"
        if num_bytes >= 2**30 / 10
        else f"{num_bytes / 2**20:,.1f} MiB"
    )
