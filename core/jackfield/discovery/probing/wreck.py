"""In words: how a process ended, and what it wrote before."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import IO

from jackfield.discovery.printable import printable

_READ_BYTES = 256 * 1024  # of the end of what it wrote
_SHOWN_LINES = 6
_SHOWN_CHARACTERS = 200  # of a line
_OURS = str(Path(__file__).parents[1])  # whose frames say nothing of the plugin
_CRASH = "Fatal Python error"  # how faulthandler begins; what stands on top is nearest to the crash


def end_in_words(status: int) -> str:
    """What became of a process with that status: an exit status, negative for a signal."""
    if status >= 0:
        return f"ended the process with status {status}"
    try:
        return f"crashed with {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"crashed with signal {-status}"


def last_words(file: IO[bytes]) -> str:
    """The telling lines of what a process wrote: the first of a crash report, else the last."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _READ_BYTES))
    text = file.read().decode(errors="replace")
    crash = text.rfind(_CRASH)  # which may follow half a line
    lines = text[max(0, crash) :].splitlines()
    lines = [line for line in lines if line.strip() and _OURS not in line]
    shown = lines[:_SHOWN_LINES] if crash >= 0 else lines[-_SHOWN_LINES:]
    return "\n".join(f"    {printable(line, _SHOWN_CHARACTERS)}" for line in shown)
