"""The command passes the kit of commands."""

import pytest

from jackfield_testing.conformance.command import CommandKit


@pytest.mark.usefixtures("few_steps")
class TestBench(CommandKit):
    name = "bench"
    good_calls = (("scheduler", "--repeats", "1"),)
    bad_calls = ((), ("latency", "nowhere"), ("scheduler", "--repeats", "many"))
