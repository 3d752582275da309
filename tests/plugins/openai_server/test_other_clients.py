"""litellm and langchain-openai: conversations and calls of tools, whole and streamed. Each runs as a program of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRIVE = Path(__file__).parents[3] / "benchmarks" / "clients" / "drive.py"


@pytest.mark.parametrize("client", ["litellm", "langchain"])
def test_a_client_chats_and_calls_tools(server, client):
    command = [sys.executable, str(DRIVE), server.url, "--model", "tiny", "--client", client]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)[client]

    assert found["tokens"] >= 1
    assert found["chunks"] > 1
    assert found["call"]["city"] in ("Oslo", "Rome")
    assert found["streamed_call"]["city"] in ("Oslo", "Rome")
    assert found["finish_reason"] in ("stop", "length")
    if client == "langchain":
        assert found["structured"]["city"] in ("Oslo", "Rome")
