"""torch on one thread: tiny tensors gain nothing from more threads, and would wait for them on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """While it is open, torch computes on one thread, also in the threads of engines that are opened in it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            # A platform sets the number of its worker's threads. A thread that sets none takes the number that was
            # set last.
            patch.setattr(torch, "set_num_threads", lambda num_threads: None)
            yield
    finally:
        torch.set_num_threads(before)


class OneThread:
    """A kit that extends this class computes on one thread. The old number is restored after each test."""

    @pytest.fixture(autouse=True)
    def _one_thread(self) -> Iterator[None]:
        with one_thread():
            yield
