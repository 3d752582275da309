"""The benchmark of plugins' cost runs, and its figures that are no times are as promised."""

import json
import resource
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_LIST_S = 0.4
TRIES = 4


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    output = tmp_path_factory.mktemp("cost") / "cost.json"
    command = [sys.executable, ROOT / "benchmarks" / "plugins_cost.py", "--repeats", "1"]
    subprocess.run([*command, "--output", output], check=True, capture_output=True)
    return json.loads(output.read_text())["figures"]


def test_the_import_brings_nothing_heavy(figures):
    assert figures["import"]["heavy_modules"] == []


def test_listing_the_plugins_is_quick_beside_300_other_distributions(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    cost = runpy.run_path(str(ROOT / "benchmarks" / "plugins_cost.py"))
    cost["write_distributions"](tmp_path, cost["NUM_DISTRIBUTIONS"])

    def takes_s():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        cost["run_python"]("-m", "jackfield.cli.main", "plugins", path=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # seconds of the processor, of which it wastes none waiting: those of the clock are others' too
    assert min(takes_s() for _ in range(TRIES)) < MAX_LIST_S


def test_what_is_installed_is_scanned_once_a_process(figures):
    assert figures["list"]["metadata_scans"] == 1


def test_observers_are_called_once_a_step_and_a_request_and_never_for_a_token(figures):
    calls = figures["observers"]["calls_of_one"]

    assert calls["calls"] == calls["steps"] + calls["requests"]
    assert calls["tokens"] > 50 * calls["steps"]  # so a call for each would show


def test_engines_take_turns_and_what_slows_one_shows_in_its_ratio(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    cost = runpy.run_path(str(ROOT / "benchmarks" / "plugins_cost.py"))
    order = []
    seconds = {"none": 2e-6, "again": 2e-6, "ten": 3e-6}

    def measure(engine):
        order.append(engine)
        return seconds[engine]

    none, again, ten = cost["time_blocks"](list(seconds), measure)

    turns = order[:: cost["BLOCK_STEPS"]]
    assert turns == [*(["ten", "again", "none", "none", "again", "ten"] * 11)][: len(turns)]
    assert len(none) == len(ten) == cost["NUM_BLOCKS"]
    assert cost["median_ratio"](ten, none) == pytest.approx(1.5)
    assert cost["median_ratio"](again, none) == 1.0


def test_every_measurement_of_observers_stands_beside_its_noise(figures):
    for step in ("scheduler_step", "engine_step"):
        measured = figures["observers"][step]
        assert {"none_us", "ten_us", "ten_to_none", "none_to_none"} == set(measured)
        assert measured["none_us"]["min"] > 0
