"""The future of a step on an asynchronous device. A thread that waits for the future waits for the device."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from jackfield.step import StepResult
from jackfield_torch.model_runner import StartedStep


class StepFuture(Future[StepResult]):
    """Resolves when its result is asked for: that waits until the step was started, then for the device."""

    def __init__(self) -> None:
        super().__init__()
        self._unstarted = threading.Lock()  # held until there is a step to wait for
        self._unstarted.acquire()
        self._resolving = threading.Lock()
        self._step: StartedStep | None = None

    def start(self, step: StartedStep) -> None:
        """Note that the device has got the whole step."""
        self._step = step
        if step.event is None:
            self.resolve()
        self._unstarted.release()

    def cancel(self) -> bool:
        """Cancel a step that will not be started."""
        is_cancelled = super().cancel()
        self._unstarted.release()
        return is_cancelled

    def resolve(self) -> None:
        """Wait for the device. After that the result is there without waiting."""
        with self._resolving:
            step, self._step = self._step, None
            if step is None or self.done():
                return
            try:
                if step.event is not None:
                    step.event.wait()
                result = step.result()
            except BaseException as error:
                self.set_exception(error)
            else:
                self.set_result(result)

    def result(self, timeout: float | None = None) -> StepResult:
        """As for any future. The time limit counts until the step was started."""
        self._wait_for_device(timeout)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """See `result`."""
        self._wait_for_device(timeout)
        return super().exception(timeout)

    def _wait_for_device(self, timeout: float | None) -> None:
        limit_s = -1 if timeout is None else timeout
        if not self.done() and self._unstarted.acquire(timeout=limit_s):
            self._unstarted.release()
            self.resolve()
