"""The kit that every platform must pass."""

import pytest
from jackfield.interfaces.platform import PlatformNeed
from jackfield_testing.conformance.platform import PlatformKit
from jackfield_testing.models import tiny_spec


class TestNumpy(PlatformKit):
    name = "numpy"

    @pytest.fixture
    def needs(self):
        """Needs with all that the card checks: windows and dtypes."""
        model = tiny_spec(windows=(None, 8))
        return [PlatformNeed(model=model, dtype=dtype) for dtype in ("auto", "float32", "bfloat16")]
