"""Settings of libraries that are made before torch is loaded."""

import os
import subprocess
import sys

import pytest

from jackfield_cpu import libraries
from jackfield_testing.models import write_model

SPINS, KERNELS, POLICY = "GOMP_SPINCOUNT", "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "OMP_WAIT_POLICY"


@pytest.fixture
def environment(monkeypatch):
    for name in (SPINS, KERNELS, POLICY):
        monkeypatch.setenv(name, "")  # so that it is as before at the end
        monkeypatch.delenv(name)
    return monkeypatch


def test_what_the_environment_leaves_open_is_set(environment):
    libraries.set_defaults()
    assert {SPINS, KERNELS} <= os.environ.keys()


def test_what_the_environment_says_stays(environment):
    environment.setenv(SPINS, "7")
    environment.setenv(KERNELS, "8")
    libraries.set_defaults()
    assert (os.environ[SPINS], os.environ[KERNELS]) == ("7", "8")


def test_a_policy_of_the_environment_decides_how_threads_wait(environment):
    environment.setenv(POLICY, "active")
    libraries.set_defaults()
    assert SPINS not in os.environ


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU OpenMP on Linux")
def test_an_engine_that_opens_sets_them_before_openmp_is_loaded(tmp_path, environment):
    write_model(tmp_path)
    program = (
        "import sys; from jackfield import LLM\n"
        "LLM(sys.argv[1], settings={'select.platform': 'cpu', 'select.weight_format': 'dummy'}).close()"
    )
    environment.setenv("OMP_DISPLAY_ENV", "verbose")
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert f"{SPINS} = '10000'" in done.stderr
