"""Whatever the OpenAPI document allows, and much that it does not, is answered: no fault of the server, and no hang."""

import subprocess
import sys

import pytest

CHECK = (
    *("--phases", "coverage,fuzzing", "--max-examples", "10", "--generation-deterministic"),
    *("--checks", "not_a_server_error", "--max-response-time", "10", "--request-timeout", "15"),
    *("--no-shrink", "--no-color"),
)


@pytest.mark.thorough
def test_requests_made_of_the_document_find_no_fault_of_the_server(start, tmp_path):
    with start() as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
        done = subprocess.run(
            [*command, *CHECK], cwd=tmp_path, capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stdout
        server.wait_for(lambda: server.metric("num_requests_running") == 0)
        assert server.metric("kv_cache_usage_perc") == 0
        assert server.metric("engine_restarts_total") == 0
        assert "Traceback" not in server.log


def test_token_ids_and_numbers_that_no_engine_takes_are_refused(server):
    for wrong in ({"prompt": [-1]}, {"prompt": [2**62]}, {"prompt": "a", "priority": 2**70}):
        found = server.http.post("/v1/completions", json={"model": "tiny", **wrong})
        assert (found.status_code, set(found.json())) == (400, {"error"})
