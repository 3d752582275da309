"""`jackfield doctor` tells what a bug report needs, and never fails to."""

import json
import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

from jackfield.cli.doctor import folder_facts, machine_facts

pytestmark = pytest.mark.usefixtures("probe_inline")


def test_the_machine_and_the_versions_are_told():
    facts = machine_facts()

    assert facts["python"].startswith(platform.python_version())
    assert facts["tokenizers"] == version("tokenizers")
    assert facts["memory_bytes"] > 2**20
    assert facts["cores"] >= 1


def test_versions_are_read_without_importing_the_libraries():
    code = (
        "import sys; from jackfield.cli.doctor import machine_facts; machine_facts()\n"
        "print(*{'torch', 'jax', 'transformers', 'numpy'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


def test_a_cache_folder_that_does_not_exist_yet_is_judged_by_its_parent(tmp_path):
    facts = folder_facts(tmp_path / "a" / "b")

    assert (facts["exists"], facts["writable"]) == (False, True)
    assert facts["free_bytes"] > 0


def test_the_report_has_what_each_platform_found(jackfield, world):
    report = json.loads(jackfield("doctor", "--json").out)

    assert report["platforms"]["acme"] == {"cores": 4, "available_bytes": 10_000}
    assert report["cache_folder"]["path"].endswith("cache")


def test_a_plugin_with_a_problem_is_told_with_the_way_out(jackfield, distributions):
    distributions.add("acme", {"jackfield.platforms.v1": {"acme": "acme_gone:Acme"}})

    done = jackfield("doctor")

    assert done.status == 1
    assert "Reinstall acme, which lacks its own module acme_gone" in done.out


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_wrong_settings_are_a_problem_of_the_report(jackfield, monkeypatch, form):
    monkeypatch.setenv("JACKFIELD_CACHE_SIZE", "3")

    done = jackfield("doctor", *form)

    assert done.status == 1
    assert "the settings are wrong: unknown environment variable JACKFIELD_CACHE_SIZE" in done.out


def test_a_drift_from_the_lock_is_a_problem_of_the_report(jackfield, distributions, tmp_path):
    lock = f"plugins.lock={tmp_path / 'x.lock'}"
    jackfield("plugins", "lock", "--set", lock)
    distributions.add("acme", {"jackfield.schedulers.v1": {"plain": "jackfield.x:P"}})

    done = jackfield("doctor", "--set", lock)

    assert done.status == 1
    assert "+ acme 1.0: not locked" in done.out
