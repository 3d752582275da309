"""Executors of scripted workers."""

import functools

import pytest

from jackfield_testing.scripted import scripted_context


@pytest.fixture
def make_context(tmp_path):
    """A context for the scripted platform; `script` are its options."""
    return functools.partial(scripted_context, tmp_path)


@pytest.fixture
def opened():
    """Closes what it is given when the test is over."""
    executors = []

    def keep(executor):
        executors.append(executor)
        return executor

    yield keep
    for executor in executors:
        executor.close()
