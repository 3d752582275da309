"""Graphs of steps whose shape comes again and again. All other steps run eagerly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from jackfield_torch.device import Device
from jackfield_torch.interfaces.kernels import DrawFacts
from jackfield_torch.step_batch import StepBatch

Compute = Callable[[StepBatch], Tensor]
Draw = Callable[[Tensor, StepBatch, DrawFacts], Tensor]  # takes logits_PV, gives token_ids_P
Draws = Mapping[DrawFacts, Callable[[], Tensor]]

_MOST_SHAPES = 64  # recorded shapes of steps with prompts
_PLAIN_DRAWS = (DrawFacts(), DrawFacts(is_random=True))


@dataclass(frozen=True, slots=True)
class _Replay:
    """The graphs of one size, padding included."""

    forward: Callable[[], Tensor]
    draws: Draws  # takes what `forward` gives


class Replays:
    """The forward pass of padded steps, captured once for each size. It runs eagerly if the device captures nothing."""

    def __init__(self, device: Device, compute: Compute, draw: Draw, hidden: Compute) -> None:
        self._device = device
        self._compute, self._draw, self._hidden = compute, draw, hidden
        self._replays: dict[int, _Replay] = {}  # key: rows, padding included
        # Steps with prompts by their rows and tokens. None: the shape came once.
        self._mixed: dict[tuple[int, int], Callable[[], Tensor] | None] = {}

    def capture(self, sizes: Sequence[int], prepare: Callable[[int], StepBatch]) -> None:
        """Capture all sizes, the largest first, so that the others find room in its memory.

        `prepare` makes a batch of padding that is ready to be computed.
        """
        falling = sorted(sizes, reverse=True)
        self._device.compile_ahead(lambda: self._run(map(prepare, falling)))
        for size in falling:
            batch = prepare(size)
            forward = self._device.capture(lambda batch=batch: self._compute(batch))  # type: ignore[misc]
            if forward is None:
                return
            self._replays[size] = _Replay(forward, self._capture_draws(forward(), batch))

    def logits(self, batch: StepBatch) -> Tensor:
        """logits_PV of a prepared step. The next step of the same size overwrites them."""
        replay = self._of(batch)
        return replay.forward() if replay is not None else self._compute(batch)

    def hidden(self, batch: StepBatch) -> Tensor:
        """hidden_PE of the tokens that draw in a step with prompts. They are replayed if this shape was recorded before."""
        shape = batch.shape
        replay = None
        if shape is not None and shape in self._mixed:
            replay = self._mixed[shape] or self._device.capture(lambda: self._hidden(batch))
            self._mixed[shape] = replay
        elif shape is not None and len(self._mixed) < _MOST_SHAPES:
            self._mixed[shape] = None  # it may never come again
        return self._hidden(batch) if replay is None else replay()

    def draws(self, batch: StepBatch) -> Draws:
        """The functions that draw tokens from the logits that were replayed for this step."""
        replay = self._of(batch)
        return replay.draws if replay is not None else {}

    def _of(self, batch: StepBatch) -> _Replay | None:
        return self._replays.get(len(batch.rows_P)) if batch.is_padded else None

    def _run(self, batches: Iterable[StepBatch]) -> None:
        for batch in batches:
            logits_PV = self._compute(batch)
            for facts in _PLAIN_DRAWS:
                self._draw(logits_PV, batch, facts)

    def _capture_draws(self, logits_PV: Tensor, batch: StepBatch) -> Draws:
        captured = {
            facts: self._device.capture(lambda facts=facts: self._draw(logits_PV, batch, facts))  # type: ignore[misc]
            for facts in _PLAIN_DRAWS
        }
        return {facts: replay for facts, replay in captured.items() if replay is not None}
