"""The CPU platform passes the kit of platforms."""

import pytest

from jackfield_testing.conformance.platform import PlatformKit


@pytest.mark.cpu_model
class TestCpu(PlatformKit):
    """Through the entry point that is installed."""

    name = "cpu"
