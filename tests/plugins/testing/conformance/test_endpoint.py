"""The kit of endpoints passes a sound one and notices planted faults."""

import pytest

from jackfield_testing.conformance.endpoint import EndpointKit
from jackfield_testing.conformance.run import run_kit

pytestmark = pytest.mark.thorough

ASKED = {
    "good_requests": (("POST", "/say", {"text": "Hi"}),),
    "bad_requests": (("POST", "/say", {"text": 3}),),
}
MUTANTS = {  # the fault: the tests that are there to notice it
    "Rootless": ["test_its_path_is_one_that_others_can_stand_beside"],
    "Curious": ["test_an_application_asks_nothing_before_it_is_asked"],
    "Trusting": ["test_a_body_that_is_no_json_is_refused"],
    "Greedy": ["test_an_unknown_path_is_not_found"],
    "Hiding": ["test_what_the_models_refuse_is_told"],
    "Deaf": ["test_a_client_that_leaves_is_not_answered_on"],
}


def test_a_sound_one_passes(kit_of):
    report = run_kit(kit_of(EndpointKit, "endpoint_mutants:Sound", **ASKED))

    assert set(report.outcomes.values()) == {"passed"}, report.texts


@pytest.mark.parametrize(("fault", "noticed_by"), MUTANTS.items(), ids=MUTANTS)
def test_a_planted_fault_is_noticed(kit_of, fault, noticed_by):
    report = run_kit(kit_of(EndpointKit, f"endpoint_mutants:{fault}", **ASKED), *noticed_by)

    assert report.of("failed") == tuple(noticed_by)
