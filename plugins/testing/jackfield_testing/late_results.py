"""Results that arrive late, as from a device that works while the host goes on."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future

from jackfield.errors import EngineError
from jackfield.step import StepResult

Outcome = StepResult | Exception


class LateResults:
    """Holds back the newest `num_held` results. A result resolves when this many steps have followed it.

    If no step follows within `idle_s`, all held results resolve, so that nothing waits forever.
    """

    def __init__(self, num_held: int, idle_s: float) -> None:
        self._num_held = num_held
        self._idle_s = idle_s
        self._held: deque[tuple[Future[StepResult], Outcome]] = deque()
        self._newest_s = 0.0
        self._is_closed = False
        self._hung: list[Future[StepResult]] = []
        # Reentrant, because the callback of a future may start the next step.
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        if num_held:
            self._thread = threading.Thread(
                target=self._release_idle, name="reference-device", daemon=True
            )
            self._thread.start()

    def add(self, future: Future[StepResult], outcome: Outcome) -> None:
        """Let `future` resolve in its turn."""
        with self._changed:
            if self._hung:
                self._hung.append(future)
                return
            self._held.append((future, outcome))
            self._newest_s = time.monotonic()
            if len(self._held) == 1:
                self._changed.notify()
            self._release(self._num_held)

    def hang(self, future: Future[StepResult]) -> None:
        """Let neither this future nor any later one resolve before `close`."""
        with self._changed:
            self._hung.append(future)

    def close(self) -> None:
        """Resolve the held results and end the thread. Futures that hang fail."""
        with self._changed:
            self._is_closed = True
            self._release(0)
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        while self._hung:
            future = self._hung.pop(0)
            future.set_exception(EngineError("the reference device hung until it was closed"))

    def _release(self, num_held: int) -> None:
        while len(self._held) > num_held:
            future, outcome = self._held.popleft()
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _release_idle(self) -> None:
        with self._changed:
            while not self._is_closed:
                if not self._held:
                    self._changed.wait()
                    continue
                remaining_s = self._newest_s + self._idle_s - time.monotonic()
                if remaining_s > 0:
                    self._changed.wait(remaining_s)
                else:
                    self._release(0)
