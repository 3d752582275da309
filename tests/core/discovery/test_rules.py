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


@pytest.mark.parametrize(("group", "name"), [(0, "a"), (1, "a"), (2, "b")])
def test_a_list_of_values_means_any_of_them(group, name):
    found = rules(attention=[{"match": {"group": [0, 1]}, "use": "a"}, {"use": "b"}])

    assert found.word("attention", {"group": group}).name == name


@pytest.mark.parametrize(
    ("match", "told"),
    [
        ({"window": "true"}, r"rule 1: window is a truth value \(true or false\), got 'true'"),
        ({"window": 1}, "got 1"),
        ({"group": True}, "group is a whole number, got True"),
        ({"group": "0"}, "got '0'"),
        ({"group": [0, "1"]}, "got '1'"),
        ({"group": 0.5}, "got 0.5"),
        ({"group": {"from": 0}}, "got {'from': 0}"),
        ({"share": "a"}, "share is a number"),
        ({"method": 4}, "method is a text"),
        ({"layer": [[0]]}, "layer"),
        ({"group": []}, "group must be one of no values"),
    ],
)
def test_a_value_that_can_never_match_is_an_error_that_names_the_type(match, told):
    facts = {"window": True, "group": 0, "share": 0.5, "method": "gptq", "layer": None}

    with pytest.raises(ConfigError, match=told):
        rules(attention=[{"match": match, "use": "a"}]).word("attention", facts)


def test_whole_numbers_are_numbers():
    found = rules(attention=[{"match": {"share": 1}, "use": "a"}])

    assert found.word("attention", {"share": 1.0}).name == "a"


def test_a_fact_that_differs_inside_a_subject_matches_no_value():
    assert (
        rules(quantization=[{"match": {"layer": 0}, "use": "a"}]).word(
            "quantization", {"layer": None}
        )
        is None
    )


def test_all_that_the_user_named_can_be_asked_for():
    words = rules(attention=RULES).words("attention")

    assert [word.name for word in words] == ["a", "b", "c"]


def test_a_rule_that_matches_nothing_is_told_with_what_there_is():
    found = rules(attention=[{"match": {"window": True, "group": 9}, "use": "a"}])
    for group in (0, 1):
        found.word("attention", {"window": False, "group": group})

    assert found.idle() == (
        "code: select.attention, rule 1: matches nothing; window is false, group is 0 or 1",
    )


def test_a_rule_that_comes_too_late_is_told():
    found = rules(attention=[*RULES[1:2], RULES[0]])
    found.word("attention", {"window": True, "heads": 8})

    assert found.idle() == (
        "code: select.attention, rule 2: decides nothing, since rules above it match all that it matches",
    )


def test_rules_that_decide_and_the_rest_are_not_idle():
    found = rules(attention=RULES[1:], platform="cpu")
    found.word("attention", {"window": True, "heads": 8})
    found.word("platform")

    assert found.idle() == ()


@pytest.mark.parametrize(
    "value",
    [
        3,
        {"use": "a"},
        [{"match": {"window": True}}],
        ["a"],
        [{"use": "a", "when": 1}],
        [{"use": "a", "match": 1}],
        [],
        [{"use": "c"}, {"use": "a", "match": 1}],  # also where an earlier rule decides
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
