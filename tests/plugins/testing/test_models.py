from importlib.metadata import entry_points

import pytest

from jackfield.config import load_config
from jackfield.errors import SelectionError, UnknownSettingError
from jackfield.startup.blueprint import make_blueprint
from jackfield_testing.desk import Desk
from jackfield_testing.engine import REFERENCE_SETTINGS, make_engine
from jackfield_testing.models import tiny_spec, write_model

PLATFORMS = "jackfield.platforms.v1"


def blueprint(folder, **settings):
    code = {"model.reference": str(folder), **settings}
    return make_blueprint(load_config(environ={}, code=code))


@pytest.mark.parametrize("windows", [(None,), (8,), (None, 8)], ids=str)
def test_a_written_model_is_the_tiny_spec(tmp_path, windows):
    write_model(tmp_path, num_layers=3, windows=windows, max_length=99)

    spec = blueprint(tmp_path, **REFERENCE_SETTINGS).spec

    assert spec == tiny_spec(3, windows=windows, max_length=99)


@pytest.mark.parametrize(
    ("windows", "kinds"),
    [((None,), ["full"]), ((8,), ["window"]), ((None, 8), ["full", "window"])],
    ids=str,
)
def test_windows_decide_the_cache_groups(windows, kinds):
    spec = tiny_spec(4, windows=windows)

    assert [group.kind for group in spec.cache_groups(spec.dtype)] == kinds


def test_the_reference_platform_is_never_chosen_by_itself(tmp_path):
    write_model(tmp_path)

    others = {entry.name for entry in entry_points(group=PLATFORMS)} - {"reference"}
    settings = {"select.weight_format": "dummy", "plugins.deny": tuple(others)}

    with pytest.raises(SelectionError, match="reference") as caught:
        blueprint(tmp_path, **settings)

    assert caught.value.decision.chosen is None


def test_an_unknown_option_is_refused(tmp_path):
    with pytest.raises(UnknownSettingError, match=r"options\.reference\.fualt"):
        make_engine(tmp_path, {"options.reference.fualt": "raise"})


def test_an_engine_answers_text(tmp_path):
    with make_engine(tmp_path) as engine:
        desk = Desk(engine)
        desk.add(engine.input.process("hello"))

        (output,) = desk.run()

    assert output.outputs[0].text
