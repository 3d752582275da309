"""The ROCm platform passes the kit of platforms, on a machine with a card."""

import pytest

from jackfield_testing.conformance.platform import PlatformKit

pytestmark = pytest.mark.gpu


class TestRocm(PlatformKit):
    name = "rocm"
