"""Plugins are tried in a process of their own, once; then what was found stands in for them."""

import os
import sys

import pytest

from jackfield.discovery.probing.process import TrialProcess
from jackfield.errors import PluginLoadError

CARD = """
import os
from jackfield.interfaces.tokenizer import TokenizerFormat
class Format(TokenizerFormat):
    facts_last = {facts_last}
    def probe(self): return {{"process": os.getpid()}}
    def open(self, files): ...
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def find(distributions):
    """The facts of a plugin, found by a new registry each time."""
    registries = []

    def find(facts_last=True, probe="process"):
        if not registries:
            distributions.add(
                "acme",
                {"jackfield.tokenizers.v1": {"acme": "acme_trial:Format"}},
                modules={"acme_trial": CARD.format(facts_last=facts_last)},
            )
        registry = distributions.scan(probe=probe)
        registries.append(registry)
        return registry.facts(registry.ref("tokenizers", "acme"))

    find.end_trials = lambda: [registry.end_trials() for registry in registries]
    yield find
    find.end_trials()


def test_a_probe_runs_in_another_process(find):
    assert find()["process"] != os.getpid()


def test_with_inline_it_runs_in_this_one(find):
    assert find(probe="inline")["process"] == os.getpid()


def test_facts_that_do_not_last_are_found_anew_where_they_are_needed(find):
    assert find(facts_last=False)["process"] == os.getpid()


def test_a_second_start_needs_no_process(find, monkeypatch):
    first = find()

    def ask(*args, **kwargs):
        raise AssertionError("tried again")

    monkeypatch.setattr(TrialProcess, "ask", ask)

    assert find() == first


def test_it_is_tried_again_after_another_installation(find, distributions):
    first = find()
    distributions.add("newcomer", {})

    assert find() != first


def test_nothing_is_left_running(find):
    child = find()["process"]
    os.kill(child, 0)  # it is there

    find.end_trials()

    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_an_interpreter_that_does_not_start_is_reported_with_the_way_out(find, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(PluginLoadError, match=r'does not start(.|\n)*plugins\.probe = "inline"'):
        find()
