"""The executors of the core pass the kit of executors."""

import pytest

from jackfield_testing.conformance.executor import ExecutorKit


@pytest.mark.core_model
class TestInline(ExecutorKit):
    name = "inline"


@pytest.mark.distributed
class TestMultiprocess(ExecutorKit):
    name = "multiprocess"
