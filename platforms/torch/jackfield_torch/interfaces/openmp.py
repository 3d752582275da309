"""The threads of torch, for native kernels on processors: a pool of their own would fight with it. Imports no torch."""

from __future__ import annotations

import ctypes
from functools import cache


@cache
def openmp_parallel() -> int | None:
    """The address of GOMP_parallel in torch's OpenMP library; None if torch uses another library.

    Call it after importing torch, which makes its libraries visible to the process. Always ask for all of torch's
    threads: the library ends those that a smaller team leaves out.
    """
    try:
        function = ctypes.CDLL(None).GOMP_parallel
    except (OSError, AttributeError, TypeError):  # TypeError: Windows has no handle of the process
        return None
    return ctypes.cast(function, ctypes.c_void_p).value
