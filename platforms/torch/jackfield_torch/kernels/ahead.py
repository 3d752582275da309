"""Compiles kernels on several threads before they are launched. Compiling them one by one is most of a first start."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from triton.runtime import jit

_LOG = logging.getLogger(__name__)


def compile_ahead(run: Callable[[], object], num_threads: int) -> int:
    """Call `run` with launches that only compile. Returns the number of kernels that were not compiled before.

    Whatever `run` computes from the outputs of kernels is arbitrary. Source: Triton's own mode for compiling on an
    executor (triton.runtime._async_compile, from release 3.4 on); older releases compile each kernel at its launch.
    """
    try:
        from triton.runtime._async_compile import AsyncCompileMode
    except ImportError:
        _LOG.info("this release of Triton compiles one kernel after another")
        return 0
    began = time.perf_counter()
    launch = jit.JITFunction.run

    def compiled(self: Any, *args: Any, grid: Any, warmup: bool = False, **options: Any) -> Any:
        return launch(self, *args, grid=grid, warmup=True, **options)

    jit.JITFunction.run = compiled
    try:
        with ThreadPoolExecutor(num_threads) as executor, AsyncCompileMode(executor) as mode:
            run()
            num_kernels = len(mode.raw_futures)
            _LOG.info("compiling %d kernels on %d threads", num_kernels, num_threads)
    finally:
        jit.JITFunction.run = launch
    _LOG.info("kernels were ready after %.1f s", time.perf_counter() - began)
    return num_kernels
