"""The kit of commands passes a sound one and notices planted faults."""

import sys

import pytest

from jackfield_testing.conformance.command import CommandKit
from jackfield_testing.conformance.run import run_kit

pytestmark = pytest.mark.thorough

CALLS = {"good_calls": (("world",),), "bad_calls": (("nobody",), ())}
MUTANTS = {  # the fault: the test that is there to notice it
    "Meddling": "test_declaring_arguments_changes_nothing",
    "Percent": "test_every_argument_has_a_help_text",
    "Heavy": "test_help_is_printed_and_nothing_heavy_is_loaded_for_it",
    "Crashing": "test_a_call_that_cannot_be_obeyed_says_why",
    "Silent": "test_a_call_that_cannot_be_obeyed_says_why",
}


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    """What the mutants do to the process."""
    monkeypatch.setenv("ACME_GREETED", "")
    monkeypatch.setitem(sys.modules, "tensorflow", None)


def test_a_sound_one_passes(kit_of):
    report = run_kit(kit_of(CommandKit, "command_mutants:Sound", **CALLS))

    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    report = run_kit(kit_of(CommandKit, f"command_mutants:{fault}", **CALLS), noticed_by)

    assert report.of("failed") == (noticed_by,)


def test_a_name_that_no_shell_takes_is_noticed(kit_of):
    test = "test_its_name_is_a_word_that_can_be_typed"
    kit = kit_of(CommandKit, "command_mutants:Sound")
    kit.name, kit.plugins = "-mine", ("commands.-mine=command_mutants:Sound",)

    assert run_kit(kit, test).of("failed") == (test,)


def test_a_kit_that_names_no_calls_skips_what_needs_them(kit_of):
    report = run_kit(kit_of(CommandKit, "command_mutants:Sound"), "call")

    assert set(report.texts.values()) == {"names no good_calls", "names no bad_calls"}
