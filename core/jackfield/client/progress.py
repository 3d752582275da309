"""The progress bar of a batch."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jackfield.client.batch import Batch
from jackfield.request import RequestOutput


class ProgressBar:
    """Shows on standard error how many requests have ended, and their output tokens a second."""

    def __init__(self, num_requests: int) -> None:
        self._bar = Progress(
            TextColumn("requests"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.0f} tokens/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=num_requests, rate=0.0)
        self._began_s = time.monotonic()
        self._num_tokens = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, batch: Batch, outputs: Iterable[RequestOutput]) -> None:
        """Show the state of `batch` after these outputs of ended requests."""
        for output in outputs:
            self._num_tokens += sum(len(completion.token_ids) for completion in output.outputs)
        rate = self._num_tokens / max(1e-9, time.monotonic() - self._began_s)
        self._bar.update(self._task, completed=batch.num_finished, rate=rate)
