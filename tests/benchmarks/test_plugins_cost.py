"""The benchmark of what plugins cost runs, and what in it is no time is as promised."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    output = tmp_path_factory.mktemp("cost") / "cost.json"
    command = [sys.executable, ROOT / "benchmarks" / "plugins_cost.py", "--repeats", "1"]
    subprocess.run([*command, "--output", output], check=True, capture_output=True)
    return json.loads(output.read_text())["figures"]


def test_the_import_brings_nothing_heavy(figures):
    assert figures["import"]["heavy_modules"] == []


def test_what_is_installed_is_scanned_once_a_process(figures):
    assert figures["list"]["metadata_scans"] == 1


def test_observers_are_called_once_a_step_and_a_request_and_never_for_a_token(figures):
    calls = figures["observers"]["calls_of_one"]

    assert calls["calls"] == calls["steps"] + calls["requests"]
    assert calls["tokens"] > 50 * calls["steps"]  # so a call for each would show
