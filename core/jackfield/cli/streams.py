"""The three standard streams. They may be closed, full, or in an encoding that lacks many characters."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

from jackfield.errors import ConfigError


def prepare_streams() -> None:
    """Replace closed streams, and let no character be an error. Raises ConfigError.

    Otherwise the next opened file would get the number of a closed descriptor, and then the printed text.
    """
    is_closed = sys.stdout is None
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            with suppress(OSError):
                _fill(number)
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    if is_closed:
        raise ConfigError(
            "standard output is closed, so nothing could be answered. Open it, e.g. with > FILE"
        )


def forget_output() -> None:
    """Discard unwritten output. Otherwise the interpreter would try to write it at its end, and report an error."""
    with suppress(OSError, ValueError):
        target = os.open(os.devnull, os.O_WRONLY)
        os.dup2(target, sys.stdout.fileno())
        os.close(target)


def writes_everything(stream: TextIO) -> bool:
    """True if every character can be written."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def _fill(number: int) -> None:
    """Open a closed descriptor. The system may open a lower free number first, so the file is moved."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
