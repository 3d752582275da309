"""Entry points name their contract's version, and their targets are light."""

import json
import re
import subprocess
import sys

import pytest

# Loads every entry point of the named distributions, and tells which heavy modules that imported.
LOAD_ALL = """
import json, sys, traceback
from importlib.metadata import distribution

HEAVY = ("torch", "jax", "transformers")
report = {}
for name in json.loads(sys.argv[1]):
    for entry in distribution(name).entry_points:
        if entry.group == "jackfield.conformance_kits":
            continue  # tests: loaded where a test session asks for them
        problem = ""
        try:
            entry.load()
        except BaseException:
            problem = traceback.format_exc()
        if loaded := [module for module in HEAVY if module in sys.modules]:
            problem = f"imports {loaded}"
            for module in [m for m in sys.modules if m.partition(".")[0] in HEAVY]:
                del sys.modules[module]  # so that only the culprit is named
        report[f"{entry.group}:{entry.name}"] = problem
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def problems(members):
    names = json.dumps([member.name for member in members])
    command = [sys.executable, "-c", LOAD_ALL, names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {target: problem for target, problem in json.loads(done.stdout).items() if problem}


def test_an_entry_point_group_ends_in_its_contracts_major_version(member):
    groups = set(member.project.get("entry-points", {}))
    groups -= {"jackfield.conformance_kits", "pytest11"}  # tests, and not ours

    assert [g for g in groups if not re.fullmatch(r"jackfield(_\w+)?\.[a-z_]+\.v\d+", g)] == []


def test_a_member_contributes_something_or_others_stand_on_it(member, members):
    needs = [re.match(r"[\w-]+", line)[0] for m in members for line in m.project["dependencies"]]

    assert member.project.get("entry-points") or member.name in needs


def test_every_entry_point_loads_without_a_tensor_library(problems):
    assert problems == {}
