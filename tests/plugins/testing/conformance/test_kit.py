"""Changes to a kit that its author cannot make silently."""

import pytest

from jackfield.discovery.kinds import SCHEDULERS
from jackfield_testing.conformance.platform import PlatformKit
from jackfield_testing.conformance.scheduling_policy import SchedulingPolicyKit

KEYS = "test_keys_can_be_ordered"


def passing(self):
    """A test that proves nothing."""


@pytest.mark.parametrize("test", [None, passing], ids=["left out", "passing"])
def test_a_test_of_the_kit_cannot_be_replaced(test):
    with pytest.raises(TypeError, match=f"Mine replaces {KEYS} of SchedulingPolicyKit"):
        type("Mine", (SchedulingPolicyKit,), {KEYS: test})


def test_nor_by_a_class_in_between():
    mixin = type("Mixin", (), {KEYS: passing})

    with pytest.raises(TypeError, match=KEYS):
        type("Mine", (mixin, SchedulingPolicyKit), {"kind": SCHEDULERS})


def test_a_switch_that_is_spelt_otherwise_is_an_error():
    with pytest.raises(TypeError, match=r"Mine.setttings .* did you mean 'settings'"):
        type("Mine", (PlatformKit,), {"setttings": {}})


def test_what_an_author_adds_is_his():
    added = {"test_of_my_own": passing, "sizes": (1, 2), "opens": passing}

    kit = type("Mine", (PlatformKit,), {**added, "settings": {}, "write_model": passing})

    assert kit.overridden() == ("settings", "write_model")
    assert "test_of_my_own" not in kit.all_tests()
