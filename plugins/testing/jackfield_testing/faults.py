"""The errors of the reference device: one where a real device would compute nonsense without a word."""

from __future__ import annotations

from jackfield.errors import EngineError


class BooksError(EngineError):
    """A plan contradicts what the worker knows: the scheduler or the block manager keeps its books wrongly."""


class PlannedFault(EngineError):
    """A failure that the options of the reference platform asked for."""
