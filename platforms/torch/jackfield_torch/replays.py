"""Graphs of steps whose shape comes again and again, and who computes the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from jackfield_torch.device import Device
from jackfield_torch.step_batch import StepBatch

Compute = Callable[[StepBatch], Tensor]


class Replays:
    """The forward pass of padded steps, captured once for each size; eager where the device captures nothing."""

    def __init__(self, device: Device, compute: Compute) -> None:
        self._device = device
        self._compute = compute
        self._replays: dict[int, Callable[[], Tensor]] = {}  # by rows, padding included

    def capture(self, sizes: Sequence[int], prepare: Callable[[int], StepBatch]) -> None:
        """Capture all sizes, the largest first so that the others find room in its memory.

        `prepare` makes a batch of padding, ready to be computed.
        """
        for size in sorted(sizes, reverse=True):
            batch = prepare(size)
            replay = self._device.capture(lambda batch=batch: self._compute(batch))  # type: ignore[misc]
            if replay is None:
                return
            self._replays[size] = replay

    def logits(self, batch: StepBatch) -> Tensor:
        """logits_PV of a step that was prepared; overwritten by the next step of its size."""
        replay = self._replays.get(len(batch.rows_P)) if batch.is_padded else None
        return replay() if replay is not None else self._compute(batch)
