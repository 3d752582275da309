"""A setting that is gone is an error that names its replacement, in the words of whoever set it."""

import pytest

from jackfield.config import load_config, removed
from jackfield.config.removed import Removed
from jackfield.config.settings import OPEN_SECTIONS, all_settings, sections
from jackfield.errors import UnknownSettingError

TABLE = {
    "cache.blocks": Removed(since="0.4", renamed_to="cache.num_blocks"),
    "model.fast": Removed(since="0.4", advice="Remove it: models are always fast"),
    "parallel": Removed(since="0.5", renamed_to="executor"),
    "select.attn": Removed(since="0.4", renamed_to="select.attention"),
    "options.acme.pace": Removed(since="0.4", renamed_to="options.acme.speed"),
}


@pytest.fixture(autouse=True)
def table(monkeypatch):
    monkeypatch.setattr(removed, "REMOVED", TABLE)


def refusal(**places):
    with pytest.raises(UnknownSettingError) as caught:
        load_config(**{"environ": {}, **places})
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "variable", "instead", "new_variable"),
    [
        ("cache.blocks", "CACHE_BLOCKS", "cache.num_blocks", "CACHE_NUM_BLOCKS"),
        ("parallel.depth", "PARALLEL_DEPTH", "executor.depth", "EXECUTOR_DEPTH"),
        ("select.attn", "SELECT_ATTN", "select.attention", "SELECT_ATTENTION"),
        (
            "options.acme.pace",
            "OPTIONS_ACME__PACE",
            "options.acme.speed",
            "OPTIONS_ACME__SPEED",
        ),
    ],
)
def test_every_source_is_told_in_its_own_words(key, variable, instead, new_variable, tmp_path):
    section, _, name = key.rpartition(".")
    file = tmp_path / "jackfield.toml"
    file.write_text(f"[{section}]\n{name} = '8'\n")
    variable, new_variable = f"JACKFIELD_{variable}", f"JACKFIELD_{new_variable}"

    told = {
        "file": refusal(file=file),
        "environment": refusal(environ={variable: "8"}),
        "command line": refusal(cli={key: "8"}),
        "code": refusal(code={key: "8"}),
    }

    assert all(f"the setting {key} was renamed in jackfield 0." in text for text in told.values())
    assert f"({file}:2). Write {instead} instead" in told["file"]
    assert f"(environment variable {variable}). Write {new_variable} instead" in told["environment"]
    assert f"(command line: {key}). Write {instead} instead" in told["command line"]
    assert f"(code). Write {instead} instead" in told["code"]


def test_a_setting_without_a_successor_says_what_to_do():
    assert refusal(code={"model": {"fast": True}}) == (
        "the setting model.fast was removed in jackfield 0.4 (code). Remove it: models are always fast"
    )


def test_a_platform_that_sets_one_is_told_too():
    with pytest.raises(UnknownSettingError, match=r"platform acme\)\. Write cache\.num_blocks"):
        load_config(environ={}).with_platform_defaults("acme", {"cache.blocks": 1})


def test_what_was_never_there_is_still_unknown():
    assert "did you mean" in refusal(code={"cache.block": 8})


def test_no_setting_is_both_there_and_gone(monkeypatch):
    monkeypatch.undo()

    for name, found in removed.REMOVED.items():
        assert name not in {*all_settings(), *sections(), *OPEN_SECTIONS}
        assert bool(found.renamed_to) != bool(found.advice)
        if found.renamed_to and found.renamed_to.partition(".")[0] in sections():
            assert found.renamed_to in {*all_settings(), *sections()}
