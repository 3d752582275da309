"""An executor that fails while an engine is put together is named, and closed again."""

import pytest

from jackfield.config import load_config
from jackfield.errors import PluginLoadError
from jackfield.executor.inline import InlineExecutor
from jackfield.startup.assembly import assemble
from jackfield.startup.blueprint import Blueprint, make_blueprint
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model


def raises(*_):
    raise RuntimeError("no wire")


def exits(*_):
    raise SystemExit(0)


@pytest.fixture
def blueprint(tmp_path):
    code = {"model.reference": str(write_model(tmp_path)), **REFERENCE_SETTINGS}
    return make_blueprint(load_config(environ={}, code=code))


@pytest.mark.parametrize(
    ("method", "act", "told"),
    [
        ("launch", raises, "launch .*'inline' of jackfield.*RuntimeError: no wire"),
        ("start", raises, "start .*'inline' of jackfield.*RuntimeError: no wire"),
        ("start", exits, "start .*'inline' of jackfield.*SystemExit: 0"),
        (
            "start",
            lambda _: None,
            r"start .*'inline' of jackfield.*start\(\) must return a .*WorkerReport, got None",
        ),
        ("allocate", raises, "make a cache with .*RuntimeError: no wire"),
    ],
)
def test_it_is_named_with_its_distribution(blueprint, monkeypatch, method, act, told):
    closed = []
    bad = type("Bad", (InlineExecutor,), {method: act, "close": lambda self: closed.append(1)})
    monkeypatch.setattr(Blueprint, "make_executor", lambda self: bad(self.context()))

    with pytest.raises(PluginLoadError, match=rf"(?s)cannot {told}"):
        assemble(blueprint)

    assert closed


def test_one_that_fails_to_close_too_does_not_hide_what_went_wrong(blueprint, monkeypatch, caplog):
    bad = type("Bad", (InlineExecutor,), {"start": raises, "close": exits})
    monkeypatch.setattr(Blueprint, "make_executor", lambda self: bad(self.context()))

    with pytest.raises(PluginLoadError, match="no wire"):
        assemble(blueprint)

    assert "raised while it was closed" in caplog.text
