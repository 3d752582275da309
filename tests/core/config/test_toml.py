"""A written config gives the same config when it is read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.config import EngineConfig, load_config, to_toml
from jackfield.config.toml import line_of, read_toml
from jackfield.errors import ConfigError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | texts
names = st.text("abc_-é .", min_size=1, max_size=6).filter(lambda name: "." not in name)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("toml") / "a.toml"


def test_the_defaults_come_back(file):
    file.write_text(to_toml(EngineConfig()))

    assert load_config(file=file, environ={}).config == EngineConfig()


@given(
    text=texts,
    select=st.dictionaries(names, values),
    option=st.dictionaries(names, values, min_size=1),
)
def test_whatever_is_set_comes_back(file, text, select, option):
    code = {"model.tokenizer": text or "x", "select": select, "options": {"acme": option}}
    config = load_config(environ={}, code={**code, "plugins.deny": [text]}).config

    file.write_text(to_toml(config), encoding="utf-8", newline="")

    assert load_config(file=file, environ={}).config == config


def test_a_none_wins_over_a_platform_when_it_comes_back(file):
    config = load_config(environ={}, cli={"cache.num_blocks": "none"}).config
    file.write_text(to_toml(config))

    again = load_config(file=file, environ={}).with_platform_defaults(
        "acme", {"cache.num_blocks": 9}
    )

    assert again.config.cache.num_blocks is None


def test_lines_are_found_in_tables_inline_tables_and_dotted_keys(file):
    file.write_text('model.seed = 1\ncache = {block_size = 8}\n[options.acme]\n"a b" = 2\n')

    _, lines = read_toml(file)

    keys = ("model.seed", "cache.block_size", "options.acme.ab", "scheduler.max_rows")
    assert [line_of(key, lines) for key in keys] == [1, 2, 4, None]


def test_a_byte_order_mark_is_passed_over_and_what_is_no_utf_8_is_told(tmp_path):
    file = tmp_path / "c.toml"
    file.write_bytes(b"\xef\xbb\xbf[model]\nseed = 1\n")

    assert read_toml(file)[0] == {"model": {"seed": 1}}
    file.write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"no text in UTF-8 \(byte 5 is 0xe9\)"):
        read_toml(file)
