"""The user's words: a name, or rules of which the first that matches decides."""

import pytest

from jackfield.config import load_config
from jackfield.discovery.rules import SelectRules
from jackfield.errors import ConfigError, UnknownSettingError

RULES = [
    {"match": {"window": True, "heads": 8}, "use": "a"},
    {"match": {"window": True}, "use": "b"},
    {"use": "c"},
]


def rules(**select):
    loaded = load_config(environ={}, code={"select": select})
    return SelectRules(loaded.config.select, loaded.provenance)


def test_a_name_holds_for_every_subject():
    word = rules(attention="flashinfer").word("attention", {"window": True})

    assert (word.name, word.where) == ("flashinfer", "code: select.attention")


def test_what_the_user_did_not_name_has_no_word():
    assert rules(attention="a").word("platform") is None


@pytest.mark.parametrize(
    ("facts", "name", "number"),
    [
        ({"window": True, "heads": 8}, "a", 1),
        ({"window": True, "heads": 4}, "b", 2),
        ({"window": False, "heads": 8}, "c", 3),
    ],
)
def test_the_first_rule_that_matches_decides_and_is_named(facts, name, number):
    word = rules(attention=RULES).word("attention", facts)

    assert (word.name, word.where) == (name, f"code: select.attention, rule {number}")


def test_without_a_rule_for_the_rest_the_engine_chooses():
    assert rules(attention=RULES[:2]).word("attention", {"window": False, "heads": 8}) is None


def test_a_rule_on_an_unknown_fact_names_the_nearest():
    with pytest.raises(UnknownSettingError, match="called 'windows'; did you mean 'window'"):
        rules(attention=[{"match": {"windows": True}, "use": "a"}]).word(
            "attention", {"window": True}
        )


@pytest.mark.parametrize(
    "value",
    [
        3,
        {"use": "a"},
        [{"match": {"window": True}}],
        ["a"],
        [{"use": "a", "when": 1}],
        [{"use": "a", "match": 1}],
    ],
)
def test_another_form_is_refused(value):
    with pytest.raises(ConfigError, match="must be a name or a list of rules"):
        rules(attention=value).word("attention", {"window": True})


def test_a_word_that_nothing_reads_is_an_error_that_names_the_nearest():
    found = rules(atention="a")
    found.word("attention")
    found.word("platform")

    with pytest.raises(UnknownSettingError) as caught:
        found.check_all_read()

    for part in (
        "nothing reads select.atention (code); ",
        "did you mean 'attention'",
        "selects: attention, platform",
    ):
        assert part in str(caught.value)


def test_words_that_were_read_pass():
    found = rules(attention="a")

    found.word("attention")

    found.check_all_read()
