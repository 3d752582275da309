"""Kernels compiled before they are launched, on several threads: compiling one after another is most of a first start."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from triton.runtime import jit

_LOG = logging.getLogger(__name__)


def compile_ahead(run: Callable[[], object], num_threads: int) -> int:
    """Call `run` with launches that compile and do nothing else; the number of kernels that were not compiled before.

    What `run` computes from the outputs of kernels is whatever stands in memory. Source: Triton's own mode for
    compiling on an executor (triton.runtime._async_compile, from release 3.4 on); older ones compile as they launch.
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
