"""Reads lines that a user types, with editing and a history, or that come through a pipe."""

from __future__ import annotations

import sys
from contextlib import suppress

from jackfield.cli.prompts import decoded
from jackfield.environment import cache_folder
from jackfield.errors import ConfigError

_HISTORY = "chat_history"
_LONGEST_HISTORY = 1000  # lines


class LineInput:
    """Reads line by line; None is the end. A line that is no text raises ConfigError; reading can go on after it."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdin.isatty()
        self._history = cache_folder() / _HISTORY
        self._readline = None
        if self.is_terminal:
            with suppress(ImportError):  # Windows
                import readline  # takes over the terminal

                self._readline = readline
                with suppress(OSError):
                    readline.read_history_file(self._history)

    def read(self) -> str | None:
        """The next line, without spaces around it."""
        if not self.is_terminal:
            return self._read_pipe()
        try:
            return input("> ").strip()
        except EOFError:
            return None
        except UnicodeDecodeError as error:
            raise ConfigError(f"that line is no text in {error.encoding}; it is skipped") from None

    def close(self) -> None:
        """Save the history."""
        if self._readline is not None:
            with suppress(OSError):
                self._history.parent.mkdir(parents=True, exist_ok=True)
                self._readline.set_history_length(_LONGEST_HISTORY)
                self._readline.write_history_file(self._history)

    def _read_pipe(self) -> str | None:
        buffer = getattr(sys.stdin, "buffer", None)
        line = buffer.readline() if buffer else sys.stdin.readline()
        if not line:
            return None
        return (line if isinstance(line, str) else decoded(line, "that line")).strip()
