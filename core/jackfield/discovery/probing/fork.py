"""A fork of this process with a pipe to it and one from it, in a process group of its own."""

from __future__ import annotations

import os
import select
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress

from jackfield.discovery.probing.wreck import end_in_words, last_words

POLL_S = 0.02  # where the system does not tell of the end of a process


class Fork:
    """Runs `main(requests, answers)` in a fork, until `close`, which leaves nothing of what ran there.

    The fork closes `not_theirs`; what it writes to stderr is kept. This process must have one thread.
    """

    def __init__(self, main: Callable[[int, int], None], not_theirs: Sequence[int]) -> None:
        self.status: int | None = None  # when it has ended; negative for a signal
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        requests, self._requests = os.pipe()
        self.answers, answers = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setpgid(0, 0)  # so that what it starts can be ended with it
                os.dup2(self._stderr.fileno(), 2)
                for descriptor in (*not_theirs, self._requests, self.answers):
                    os.close(descriptor)
                main(requests, answers)
            finally:
                os._exit(1)
        os.close(requests)
        os.close(answers)
        with suppress(OSError):  # the fork does so too; whoever comes first
            os.setpgid(self._pid, self._pid)
        os.set_blocking(self.answers, False)
        self._pidfd = _pidfd(self._pid)

    def send(self, line: bytes) -> None:
        """Send a line. A process that is gone is noticed where its answer is awaited."""
        with suppress(BrokenPipeError):
            os.write(self._requests, line)

    def wait(self, timeout_s: float, *others: int) -> list[int]:
        """Those of the descriptors `others` that can be read; also returns when the process ends."""
        timeout_s = timeout_s if self._pidfd else min(timeout_s, POLL_S)
        ready = select.select((*others, *self._pidfd), (), (), timeout_s)[0]
        return [descriptor for descriptor in ready if descriptor in others]

    def receive(self) -> bytes | None:
        """What has come; None at the end of the pipe."""
        try:
            return os.read(self.answers, 65536) or None
        except BlockingIOError:
            return b""

    @property
    def has_ended(self) -> bool:
        """True when the process has."""
        if (
            self._pidfd and self.status is None
        ):  # not reaped before its group is ended, which bears its number
            return bool(select.select(self._pidfd, (), (), 0)[0])
        self._reap(os.WNOHANG)
        return self.status is not None

    def end(self) -> None:
        """End the process and what it started."""
        with suppress(OSError):  # nothing is left of the group
            os.killpg(self._pid, signal.SIGKILL)
        self._reap()

    def end_in_words(self) -> str:
        """What became of it, after its end."""
        assert self.status is not None
        return end_in_words(self.status)

    def told(self) -> str:
        """What it wrote, as the end of a sentence."""
        written = last_words(self._stderr)
        return f", and wrote\n{written}" if written else ""

    def close(self) -> None:
        """End it and free what belongs to it."""
        self.end()
        self._stderr.close()
        for descriptor in (self._requests, self.answers, *self._pidfd):
            os.close(descriptor)

    def _reap(self, options: int = 0) -> None:
        if self.status is None:
            pid, status = os.waitpid(self._pid, options)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)


def _pidfd(pid: int) -> tuple[int, ...]:
    """A descriptor that tells of the end of a process; none where the system has no such thing."""
    try:
        return (os.pidfd_open(pid),)
    except (AttributeError, OSError):
        return ()
