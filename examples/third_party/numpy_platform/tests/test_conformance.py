"""What every platform must hold to, by the kit that comes with Jackfield."""

import pytest
from jackfield.interfaces.platform import PlatformNeed
from jackfield_testing.conformance.platform import PlatformKit
from jackfield_testing.models import tiny_spec


class TestNumpy(PlatformKit):
    name = "numpy"

    @pytest.fixture
    def needs(self):
        """What its card has an opinion of: windows and dtypes."""
        model = tiny_spec(windows=(None, 8))
        return [PlatformNeed(model=model, dtype=dtype) for dtype in ("auto", "float32", "bfloat16")]
