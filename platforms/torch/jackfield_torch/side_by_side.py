"""Builds the layers of a model on several threads: one reads and unpacks weights while another copies and packs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
_MOST_THREADS = 4  # each holds a linear as stored, beside the linear that it makes


def build_side_by_side(
    build: Callable[[int], T], indices: Sequence[int], device: torch.device
) -> tuple[T, ...]:
    """The results of `build` for each index, in order. On a CPU with several of torch's threads, built side by side."""
    num_threads = torch.get_num_threads()
    if device.type != "cpu" or num_threads == 1 or len(indices) == 1:
        return tuple(map(build, indices))
    inference = torch.is_inference_mode_enabled()  # torch keeps it for each thread

    def build_alone(index: int) -> T:
        torch.set_num_threads(max(1, num_threads // _MOST_THREADS))
        with torch.inference_mode(inference):
            return build(index)

    pool = ThreadPoolExecutor(min(_MOST_THREADS, num_threads), "jackfield-load")
    try:
        return tuple(pool.map(build_alone, indices))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(num_threads)
