"""Settings of the libraries that torch computes with, which read the environment when they are loaded. Imports no torch."""

from __future__ import annotations

import os

# Threads that wait for others turn in a loop this often, then they sleep. The default of GNU OpenMP is 300,000 times,
# about 20 ms: if another process takes a core for a moment, the threads that wait keep the one that works from
# continuing, and a step takes 3 to 300 times as long. 10,000 times are about half a millisecond, longer than what Python
# does between two operations of a step: waking a thread that sleeps costs more than that operation. Milliseconds a token
# of SmolLM2 on two cores with one stream, 16 streams, and one stream beside a busy process: with 500 turns 31, 40 and 36,
# with 5,000 20, 30 and 52, with 10,000 20, 28 and 67, with 30,000 20, 28 and 104.
_SPINS = ("GOMP_SPINCOUNT", "10000")
# oneDNN compiles a kernel for each shape of a product and keeps the last 1024, at about 0.45 MB each, so that the memory
# of an engine grows for minutes. Fewer shapes than these come again and again.
_KERNELS_KEPT = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "384")


def set_defaults() -> None:
    """Set what the environment leaves open. Without effect on libraries that this process has loaded already."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault(*_SPINS)
    os.environ.setdefault(*_KERNELS_KEPT)
