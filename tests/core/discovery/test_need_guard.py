from dataclasses import dataclass

from jackfield.discovery.need_guard import NeedGuard


@dataclass(frozen=True)
class Model:
    width: int = 8


@dataclass(frozen=True)
class Need:
    model: Model
    dtype: str = "float32"


def test_what_was_only_read_is_as_it_was():
    assert NeedGuard(Need(Model())).undo() == []


def test_a_changed_field_is_put_back_and_named():
    need = Need(Model())
    guard = NeedGuard(need)
    object.__setattr__(need, "dtype", "int4")

    assert guard.undo() == ["Need.dtype"]
    assert need == Need(Model())


def test_the_model_in_a_need_is_watched_too():
    need = Need(Model())
    guard = NeedGuard(need)
    object.__setattr__(need.model, "width", 9)

    assert guard.undo() == ["Model.width"]
    assert need.model.width == 8


def test_a_need_may_be_nothing():
    assert NeedGuard(None).undo() == []
