"""Importing the core is cheap, and never brings in a tensor library."""

import subprocess
import sys

MAX_IMPORT_S = 0.1
TRIES = 5

TIME_IMPORT = """
from time import perf_counter
start = perf_counter()
import jackfield
print(perf_counter() - start)
"""

IMPORT_ALL = """
import importlib, pkgutil, sys
import jackfield
for module in pkgutil.walk_packages(jackfield.__path__, "jackfield."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sorted({"torch", "jax", "transformers"} & set(sys.modules)))
"""


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_core_is_quick():
    best_s = min(float(run_python(TIME_IMPORT)) for _ in range(TRIES))  # best: others use the CPU

    assert best_s < MAX_IMPORT_S


def test_no_module_of_the_core_imports_a_tensor_library():
    assert run_python(IMPORT_ALL) == ""
