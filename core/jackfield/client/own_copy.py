"""An error of the engine, copied for several callers."""

from __future__ import annotations

import copy

from jackfield.errors import EngineError, JackfieldError


def own_copy(error: BaseException) -> Exception:
    """A copy of an error for one caller, so that several can raise it without mixing their tracebacks."""
    if not isinstance(error, JackfieldError):
        error = EngineError(f"the engine has ended: {type(error).__name__}: {error}")
    mine = copy.copy(error)
    mine.__cause__ = error.__cause__ or error
    return mine
