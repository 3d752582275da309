"""Text and typed values become the setting's own type, or an error that says what is allowed."""

import pytest

from jackfield.config import Source, SourceKind
from jackfield.config.settings import all_settings
from jackfield.config.values import check_value, parse_open, parse_text
from jackfield.errors import ConfigError

HERE = Source(SourceKind.CODE, "here")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("cache.block_size", "32", 32),
        ("cache.num_blocks", "none", None),
        ("cache.num_blocks", "1_000", 1000),
        ("cache.memory_fraction", "0.5", 0.5),
        ("cache.memory_fraction", "1", 1.0),
        ("cache.prefix_caching", "off", False),
        ("cache.prefix_caching", "True", True),
        ("model.dtype", "float32", "float32"),
        ("model.revision", "None", None),
        ("plugins.allow", "a, b,", ("a", "b")),
        ("plugins.allow", "", ()),
        ("plugins.allow", "none", ()),
        ("plugins.deny", "[\"a\", 'b']", ("a", "b")),
        ("plugins.deny", "[]", ()),
        ("plugins.deny", '"a"', ("a",)),
        ("plugins.deny", "'a', \"b\"", ("a", "b")),
    ],
)
def test_text_is_read_by_the_type_of_the_setting(key, text, value):
    found = parse_text(all_settings()[key], text, HERE)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("cache.block_size", "many"),
        ("cache.block_size", "1.5"),
        ("cache.block_size", "none"),
        ("cache.memory_fraction", "half"),
        ("cache.prefix_caching", "maybe"),
        ("plugins.deny", "[a]"),
        ("plugins.deny", '["a"'),
        ("plugins.deny", "[1]"),
        ("plugins.deny", '"a", b'),
        ("plugins.deny", '["a"]\nlock = "x"'),
    ],
)
def test_text_of_another_type_is_refused(key, text):
    with pytest.raises(ConfigError, match=rf"{key} must be a .*, got .*\(here\)") as caught:
        parse_text(all_settings()[key], text, HERE)

    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("executor.start_timeout_s", 3, 3.0),
        ("plugins.allow", ["a"], ("a",)),
        ("plugins.allow", "none", ()),
        ("cache.num_blocks", None, None),
        ("cache.num_blocks", "none", None),
    ],
)
def test_a_typed_value_takes_the_form_of_the_setting(key, value, found):
    assert check_value(all_settings()[key], value, HERE) == found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cache.block_size", True),
        ("cache.block_size", 1.0),
        ("cache.block_size", "1"),
        ("cache.block_size", None),
        ("cache.prefix_caching", 1),
        ("cache.memory_fraction", False),
        ("model.dtype", 3),
        ("plugins.allow", "a"),
        ("plugins.allow", [1]),
    ],
)
def test_a_typed_value_of_another_type_is_refused(key, value):
    with pytest.raises(ConfigError, match=f"{key} must be a"):
        check_value(all_settings()[key], value, HERE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cpu", "cpu"),
        ("3", 3),
        ("true", True),
        ('[{"use": "a"}]', [{"use": "a"}]),
        ('[{use = "a"}]', [{"use": "a"}]),
        ("1\nother = 2", "1\nother = 2"),
    ],
)
def test_an_open_value_is_json_or_toml_or_text(text, value):
    assert parse_open(text) == value
