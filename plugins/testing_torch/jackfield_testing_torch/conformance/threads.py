"""Torch on one thread: tiny tensors gain nothing from more, and wait for them where the machine is busy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch computes on one thread, also in the threads of engines that are opened there."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            # a platform sets the threads of its worker; a thread that sets none takes what was set last
            patch.setattr(torch, "set_num_threads", lambda num_threads: None)
            yield
    finally:
        torch.set_num_threads(before)


class OneThread:
    """A kit that extends this computes on one thread; what was set before is restored after each test."""

    @pytest.fixture(autouse=True)
    def _one_thread(self) -> Iterator[None]:
        with one_thread():
            yield
