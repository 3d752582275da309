"""The errors of the reference device, for cases in which a real device would compute wrong values silently."""

from __future__ import annotations

from jackfield.errors import EngineError


class BooksError(EngineError):
    """A plan contradicts the state of the worker: the bookkeeping of the scheduler or the block manager is wrong."""


class PlannedFault(EngineError):
    """A failure that the options of the reference platform asked for."""
