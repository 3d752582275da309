"""Which layer of the settings wins, and that every value tells where it came from."""

import pytest

from jackfield.config import SourceKind, load_config
from jackfield.errors import ConfigError, UnknownSettingError


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "jackfield.toml"
        file.write_text(text)
        return file

    return write


def test_without_any_source_every_setting_is_a_default():
    loaded = load_config(environ={})

    assert loaded.config.cache.block_size == 16
    assert {source.kind for source in loaded.provenance.values()} == {SourceKind.DEFAULT}


@pytest.mark.parametrize(
    ("given", "kind", "value"),
    [
        (("file",), SourceKind.FILE, 1),
        (("file", "environ"), SourceKind.ENVIRONMENT, 2),
        (("file", "environ", "cli"), SourceKind.CLI, 3),
        (("file", "environ", "cli", "code"), SourceKind.CODE, 4),
    ],
)
def test_the_later_place_wins(write, given, kind, value):
    places = {
        "file": write("[cache]\nblock_size = 1"),
        "environ": {"JACKFIELD_CACHE_BLOCK_SIZE": "2"},
        "cli": {"cache.block_size": "3"},
        "code": {"cache.block_size": 4},
    }

    loaded = load_config(**{"environ": {}, **{name: places[name] for name in given}})

    assert loaded.config.cache.block_size == value
    assert loaded.provenance["cache.block_size"].kind is kind


def test_a_setting_from_a_file_tells_its_line(write):
    file = write("[model]\n\n[cache]\n# a comment\nblock_size = 32\n")

    loaded = load_config(file=file, environ={})

    assert str(loaded.provenance["cache.block_size"]) == f"{file}:5"


def test_the_environment_may_name_the_file(write):
    file = write("[scheduler]\nmax_rows = 7")

    assert load_config(environ={"JACKFIELD_CONFIG": str(file)}).config.scheduler.max_rows == 7


def test_a_named_file_hides_the_one_of_the_environment(write, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text("[scheduler]\nmax_rows = 9")

    loaded = load_config(
        file=other, environ={"JACKFIELD_CONFIG": str(write("[scheduler]\nmax_rows = 7"))}
    )

    assert loaded.config.scheduler.max_rows == 9


def test_nested_tables_and_dotted_keys_mean_the_same():
    nested = load_config(environ={}, code={"cache": {"block_size": 8}})
    dotted = load_config(environ={}, code={"cache.block_size": 8})

    assert nested == dotted


@pytest.mark.parametrize(
    ("places", "told"),
    [
        (
            {"cli": {"cache.blok_size": "8"}},
            ["cache.blok_size", "did you mean 'block_size'", "command line"],
        ),
        ({"code": {"cach": {"block_size": 8}}}, ["'cach'", "did you mean 'cache'", "code"]),
        (
            {"environ": {"JACKFIELD_CACHE_BLOCKSIZE": "8"}},
            ["did you mean 'JACKFIELD_CACHE_BLOCK_SIZE'"],
        ),
        ({"environ": {"JACKFIELD_OPTIONS_ACME": "8"}}, ["JACKFIELD_OPTIONS_ACME"]),
    ],
)
def test_an_unknown_setting_is_an_error_that_names_the_nearest(places, told):
    with pytest.raises(UnknownSettingError) as caught:
        load_config(**{"environ": {}, **places})

    assert [part for part in told if part not in str(caught.value)] == []


def test_an_unknown_setting_of_a_file_is_named_with_its_line(write):
    file = write("[cache]\nblock_size = 8\nblok_size = 9")

    with pytest.raises(UnknownSettingError, match=r"jackfield\.toml:3"):
        load_config(file=file, environ={})


def test_a_value_out_of_range_tells_who_set_it():
    with pytest.raises(
        ConfigError, match=r"block_size must be at least 1, got 0.*JACKFIELD_CACHE_BLOCK_SIZE"
    ):
        load_config(environ={"JACKFIELD_CACHE_BLOCK_SIZE": "0"})


def test_an_unknown_dtype_tells_which_setting_has_it():
    with pytest.raises(
        ConfigError, match=r"cache\.dtype: unknown dtype 'f7'.*command line: cache\.dtype"
    ):
        load_config(environ={}, cli={"model.dtype": "float32", "cache.dtype": "f7"})


def test_a_missing_file_says_how_to_name_one(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the config file.*--config"):
        load_config(file=tmp_path / "none.toml", environ={})


def test_a_broken_file_tells_the_place(write):
    with pytest.raises(ConfigError, match=r"jackfield\.toml is no valid TOML.*line 2"):
        load_config(file=write("[cache]\nblock_size = ="), environ={})


def test_a_section_that_is_no_table_is_refused():
    with pytest.raises(ConfigError, match="model must be a table"):
        load_config(environ={}, code={"model": 3})


def test_the_short_variable_for_plugins_is_the_allow_list():
    loaded = load_config(environ={"JACKFIELD_PLUGINS": "acme, jackfield-other"})

    assert loaded.config.plugins.allow == ("acme", "jackfield-other")
    assert loaded.config.plugins.autoload


def test_no_plugins_at_all_takes_back_an_allow_list(write):
    file = write('[plugins]\nallow = ["acme"]')

    loaded = load_config(file=file, environ={"JACKFIELD_PLUGINS": "none"})

    assert (loaded.config.plugins.allow, loaded.config.plugins.autoload) == ((), False)


def test_two_variables_for_one_setting_are_refused():
    with pytest.raises(ConfigError, match="both set"):
        load_config(environ={"JACKFIELD_PLUGINS": "a", "JACKFIELD_PLUGINS_ALLOW": "b"})


def test_variables_of_others_and_of_the_cache_folder_are_no_settings():
    loaded = load_config(environ={"JACKFIELD_CACHE": "/somewhere", "HOME": "/root"})

    assert loaded == load_config(environ={})


def test_open_sections_take_what_plugins_name(write):
    file = write(
        '[options.acme]\nspeed = 3\n[select]\nattention = [{match = {window = true}, use = "a"}]'
    )

    loaded = load_config(
        file=file,
        environ={"JACKFIELD_OPTIONS_ACME__BURST": "true", "JACKFIELD_SELECT_PLATFORM": "cpu"},
        cli={"options.acme.mode": "fast", "select.scheduler": "priority"},
    )

    assert loaded.config.options == {"acme": {"speed": 3, "burst": True, "mode": "fast"}}
    assert loaded.config.select == {
        "attention": [{"match": {"window": True}, "use": "a"}],
        "platform": "cpu",
        "scheduler": "priority",
    }


def test_an_option_without_its_plugin_is_refused():
    with pytest.raises(ConfigError, match=r"options\.speed must be a table"):
        load_config(environ={}, cli={"options.speed": "3"})


def test_a_platform_sets_only_what_nobody_else_set():
    loaded = load_config(environ={}, cli={"scheduler.max_rows": "4"})

    found = loaded.with_platform_defaults(
        "acme", {"scheduler.max_rows": 9, "model.dtype": "bfloat16"}
    )

    assert (found.config.scheduler.max_rows, found.config.model.dtype) == (4, "bfloat16")
    assert str(found.provenance["model.dtype"]) == "default of platform acme"


def test_a_user_who_writes_the_default_still_wins_over_the_platform():
    loaded = load_config(environ={}, cli={"cache.block_size": "16"})

    assert loaded.with_platform_defaults("acme", {"cache.block_size": 64}) == loaded


def test_a_platform_with_an_unknown_default_is_named():
    with pytest.raises(UnknownSettingError, match="default of platform acme"):
        load_config(environ={}).with_platform_defaults("acme", {"cache.blocks": 1})


def test_a_derived_value_wins_and_says_what_it_is_from():
    loaded = load_config(environ={}).with_derived("length of the model", {"model.max_length": 512})

    assert loaded.config.model.max_length == 512
    assert str(loaded.provenance["model.max_length"]) == "length of the model"


@pytest.mark.parametrize("key", ["select.", "select..a", "options.acme.", "cache.", ".block_size"])
def test_a_setting_with_an_empty_part_is_told_apart_from_a_wrong_one(key):
    with pytest.raises(
        ConfigError, match=r"a part of the setting .* is empty .*Write SECTION\.KEY"
    ):
        load_config(environ={}, cli={key: "x"})
