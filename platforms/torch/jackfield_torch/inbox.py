"""The host's message to the device for a step: one buffer of words, filled in place and copied once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jackfield_torch.device import Device
from jackfield_torch.interfaces.kernels import Kernels, RowTensors
from jackfield_torch.staging import Slot, StagingRing

Words = NDArray[np.int32]
# Updates that go with one copy; a step with long new prompts needs several copies.
_MOST_UPDATES = 1 << 14


class Inbox:
    """The words of a step, updates of the rows, and further words for drafts. The host writes into staged memory.

    On the device the words always have the same address. The host fills a slot of a ring, so that it can prepare a step
    while the copy for the last step is still running.
    """

    def __init__(
        self,
        device: Device,
        torch_device: torch.device,
        kernels: Kernels,
        rows: RowTensors,
        *,
        step_words: int,  # most words of a step
        draft_words: int = 0,  # most words that drafts add
        depth: int,  # steps in flight
    ) -> None:
        self._device, self._kernels, self._rows = device, kernels, rows
        self._step_words = step_words
        size = step_words + max(2 * _MOST_UPDATES, draft_words)
        self._received = torch.zeros(size, dtype=torch.int32, device=torch_device)
        self._ring = StagingRing(device, depth + 1, 4 * size)
        self._num_updates = 0
        self._open()

    def set(self, place: int, value: int) -> None:
        """Set one word of the rows. Between two calls of `send` or `flush`, no word is set twice."""
        if self._num_updates == _MOST_UPDATES:
            self.flush()
        self._updates_U2[self._num_updates, 0] = place
        self._updates_U2[self._num_updates, 1] = value
        self._num_updates += 1

    def set_run(self, place: int, values: Sequence[int] | Words) -> None:
        """Set consecutive words."""
        done = 0
        while done < len(values):
            if self._num_updates == _MOST_UPDATES:
                self.flush()
            size = min(len(values) - done, _MOST_UPDATES - self._num_updates)
            pairs = self._updates_U2[self._num_updates : self._num_updates + size]
            pairs[:, 0] = np.arange(place + done, place + done + size)
            pairs[:, 1] = values[done : done + size]
            self._num_updates += size
            done += size

    def flush(self) -> None:
        """Send the updates to the device and apply them there."""
        if self._num_updates:
            self._bring(0, 0)

    @property
    def step(self) -> Words:
        """The memory in which the host writes the words of the step."""
        return self._step

    def drafts(self, num_words: int) -> Words:
        """The memory in which the host writes `num_words` words about drafts. No update may follow until `send`."""
        if self._draft_start() + num_words > len(self._words):
            self.flush()
        start = self._draft_start()
        return self._words[start : start + num_words]

    def send(self, num_words: int, num_draft_words: int = 0) -> tuple[Tensor, Tensor]:
        """Send updates and step to the device. Returns the words of the step and the words about drafts.

        They stay there until the next `send` or `flush`. The words of the step always have the same address.
        """
        start = self._draft_start()
        self._bring(num_words, num_draft_words)
        return self._received[:num_words], self._received[start : start + num_draft_words]

    def _draft_start(self) -> int:
        return self._step_words + 2 * self._num_updates

    def _bring(self, num_words: int, num_draft_words: int) -> None:
        updates_end = self._draft_start()
        stop = updates_end + num_draft_words
        if stop == self._step_words:
            stop = num_words  # nothing follows the step
        self._device.copy(self._received[:stop], self._slot.words[:stop])
        self._slot.event = self._device.record()
        if self._num_updates:
            updates = self._received[self._step_words : updates_end].view(-1, 2)
            self._kernels.update_rows(self._rows, updates)
        self._num_updates = 0
        self._open()

    def _open(self) -> None:
        self._slot: Slot = self._ring.take()
        self._words: Words = self._slot.words.numpy()
        self._step = self._words[: self._step_words]
        self._updates_U2 = self._words[self._step_words :][: 2 * _MOST_UPDATES].reshape(-1, 2)
