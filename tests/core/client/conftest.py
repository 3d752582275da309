import pytest

from jackfield.client import LLM, AsyncLLM
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model


@pytest.fixture
def model(tmp_path):
    return str(write_model(tmp_path / "model"))


@pytest.fixture
def open_llm(model):
    """Opens clients on the reference platform; closes them when the test is over."""
    clients = []

    def open_(kind=LLM, **settings):
        client = kind(model, settings={**REFERENCE_SETTINGS, **settings})
        clients.append(client)
        return client

    yield open_
    for client in clients:
        client.close()


@pytest.fixture
def llm(open_llm):
    return open_llm()


@pytest.fixture
def async_llm(open_llm):
    return open_llm(AsyncLLM)
