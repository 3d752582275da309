"""Servers on the reference platform, started as users start them, and official clients of them."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from openai import OpenAI

from jackfield_testing.models import write_model

READY_S = 120
# A prompt that begins with <echo> is answered with its rest, again and again, or up to <end>.
ECHO = "<echo>{{ messages[-1].content }}<end>"


class Server:
    """A running `jackfield serve`."""

    def __init__(self, process: subprocess.Popen, url: str, log: Path, *, verify=True) -> None:
        self.process = process
        self.url = url
        self._log = log
        self.http = httpx2.Client(base_url=url, timeout=60, trust_env=False, verify=verify)
        self._http = httpx2.Client(
            timeout=60, trust_env=False, verify=verify
        )  # of the official clients

    @property
    def log(self) -> str:
        return self._log.read_text()

    def openai(self, key="unused") -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, http_client=self._http)

    def metric(self, name: str) -> float:
        """The sum of a series over its labels."""
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"jackfield_{name}[{{ ]", line))  # fmt: skip

    @property
    def load(self) -> float:
        """Requests that the engine works on."""
        return self.metric("num_requests_running") + self.metric("num_requests_waiting")

    @property
    def is_idle(self) -> bool:
        """True if the engine works on nothing and all its blocks are free; while it is started again, nobody knows."""
        tells = "jackfield_kv_cache_usage_perc{" in self.http.get("/metrics").text
        return tells and self.load == 0 and self.metric("kv_cache_usage_perc") == 0

    def memory_mib(self) -> float:
        """Resident memory of the server and its engine, without files and without what they share."""
        total = 0
        for pid in (self.process.pid, self.engine_pid()):
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])
        return total / 1024

    def num_files(self) -> int:
        """Files and connections that the server has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def is_ready(self) -> bool:
        with suppress(httpx2.TransportError):
            return self.http.get("/ready").status_code == 200
        return False

    def wait_for(self, condition, timeout_s=30):
        """Until `condition()` is true; what it gave."""
        end_s = time.monotonic() + timeout_s
        while not (found := condition()):
            assert time.monotonic() < end_s, f"waited {timeout_s} s in vain\n{self.log}"
            time.sleep(0.05)
        return found

    def engine_pid(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return next(
            int(child)
            for child in children.split()
            if b"openai_server.engine" in Path(f"/proc/{child}/cmdline").read_bytes()
        )

    def close_clients(self) -> None:
        self.http.close()
        self._http.close()

    def close(self) -> int:
        self.close_clients()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def _serving(
    folder: Path, *words: str, env=None, model=None, max_length=512, log=None, verify=True
):
    """A server on a tiny model of the reference platform. What stands in a `log` that is given cannot be read."""
    url, port = None, "0"
    if log is not None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        url = f"http://127.0.0.1:{port}"
    written, log = log or folder / "log", Path(os.devnull) if log else folder / "log"
    if model is None:
        write_model(folder / "tiny", max_length=max_length)
        model = folder / "tiny"
        words = (
            "--platform", "reference", "--set", "select.weight_format=dummy",
            "--set", "options.reference.echo_token_id=257", "--served-model-name", "tiny", *words,
        )  # fmt: skip
    models = [str(model)] if model else []  # "": those of the config
    command = [sys.executable, "-m", "jackfield.cli.main", "serve", *models, "--port", port]
    with written.open("w") as stream:
        process = subprocess.Popen(
            [*command, *words], stderr=stream, stdout=stream, env={**os.environ, **(env or {})}
        )
    try:
        end_s = time.monotonic() + READY_S
        while url is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.05)
            if found := re.search(r"serving .* on (http\S+)", log.read_text()):
                url = found[1].replace("0.0.0.0", "127.0.0.1")
        server = Server(process, url, log, verify=verify)
        server.wait_for(server.is_ready, READY_S)
        try:
            yield server
            server.close()
        finally:
            server.close_clients()  # of a test that failed, too: their sockets would fail another
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    parsers = ("--tool-call-parser", "hermes", "--reasoning-parser", "qwen3")
    with _serving(tmp_path_factory.mktemp("server"), *parsers) as server:
        yield server


@pytest.fixture(scope="session")
def client(server):
    return server.openai()


@pytest.fixture(scope="session")
def serving():
    """Starts a server in a folder: for those that several tests share."""
    return _serving


@pytest.fixture
def start(tmp_path):
    """Starts a server of the test's own."""
    return lambda *words, **values: _serving(tmp_path, *words, **values)


def echoed(text, **values):
    """Arguments of a chat completion that is answered with `text`."""
    return {
        "model": "tiny",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 300,
        **values,
        "extra_body": {"chat_template": ECHO, **values.get("extra_body", {})},
    }


@pytest.fixture
def echo():
    return echoed
