import pytest

from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.model import ConfigReader


def config(**values):
    return ConfigReader({"architectures": ["Acme"], **values})


def test_a_key_may_mean_one_thing_where_it_is_absent_and_none_where_it_is_null():
    assert config().nullable("window", int, 7) == 7
    assert config(window=None).nullable("window", int, 7) is None
    assert config(window=9).nullable("window", int, 7) == 9


def test_a_nullable_key_of_another_type_is_refused():
    with pytest.raises(UnsupportedModelError, match="window='9'; expected int"):
        config(window="9").nullable("window", int, 7)
