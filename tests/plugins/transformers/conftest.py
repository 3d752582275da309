"""Tiny models of architectures of which no spec is there."""

from functools import cache

import pytest

from jackfield.interfaces.model import ConfigReader
from jackfield_testing_torch.conformance.known_model import transformers_model, write_known_model
from jackfield_transformers.model import any_decoder


@cache
def known(name, changes=()):
    return transformers_model(name, dict(changes))


@pytest.fixture
def make_known():
    """The tiny model of an architecture, with changes of its config."""
    return lambda name, **changes: known(name, tuple(changes.items()))


@pytest.fixture
def make_spec():
    """What the plugin makes of a config."""
    return lambda config: any_decoder(ConfigReader(config))


@pytest.fixture
def make_folder(tmp_path):
    """A tiny model on disk."""

    def write(model):
        write_known_model(model, tmp_path)
        return tmp_path

    return write
