"""A running `jackfield serve` for benchmarks: its address, its two processes, and their use of processor and memory."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_READY_S = 300.0  # time limit for loading the model


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that takes requests."""

    url: str
    pid: int  # the process that speaks HTTP
    engine_pid: int
    ready_s: float  # from the start of the process until requests are taken

    @property
    def pids(self) -> tuple[int, int]:
        """The ids of the server's process and of the engine's."""
        return self.pid, self.engine_pid


@contextmanager
def server_process(words: Sequence[str]) -> Iterator[ServerProcess]:
    """Run `jackfield serve` with these words until the end of the block. Raises SystemExit with its log."""
    command = [sys.executable, "-m", "jackfield.cli.main", "serve", *words, "--port", "0"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        began_s = time.monotonic()
        with log.open("w") as stream:
            server = subprocess.Popen(command, stderr=stream)
        try:
            while not (found := re.search(r"serving .* on (http\S+)", log.read_text())):
                if server.poll() is not None or time.monotonic() - began_s > _READY_S:
                    raise SystemExit(log.read_text())
                time.sleep(0.01)
            ready_s = time.monotonic() - began_s
            yield ServerProcess(found[1], server.pid, _engine_pid(server.pid), ready_s)
        finally:
            server.terminate()
            server.wait(60)


def _engine_pid(server_pid: int) -> int:
    """The id of the child process that runs the engine."""
    children = Path(f"/proc/{server_pid}/task/{server_pid}/children").read_text().split()
    pids = [
        int(child)
        for child in children
        if b"openai_server.engine" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    if len(pids) != 1:
        raise SystemExit(f"the server has {len(pids)} engines; this measures one")
    return pids[0]


def processor_s(pid: int) -> float:
    """Processor time of a process so far, in seconds. The system counts it in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def num_writes(pid: int) -> int:
    """Calls of write() so far. Each call on a socket wakes its client once."""
    found = re.search(r"syscw: (\d+)", Path(f"/proc/{pid}/io").read_text())
    assert found, "each process has this line"
    return int(found[1])


def resident_bytes(pid: int) -> int:
    """Memory of the process, without mapped files and shared memory."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found, "each process has this line"
    return int(found[1]) << 10
