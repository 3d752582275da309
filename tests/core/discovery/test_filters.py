"""Allow, deny, required and autoload."""

import pytest

from jackfield.activation import PluginRef
from jackfield.config import PluginSettings
from jackfield.discovery.filters import PluginFilter
from jackfield.discovery.scan import Scan
from jackfield.errors import ConfigError, PluginNotFound


def ref(name, distribution):
    return PluginRef(
        kind="jackfield.models",
        major=1,
        name=name,
        distribution=distribution,
        version="1",
        target="m:f",
    )


OURS, THEIRS, SAME, LOCAL = (
    ref("Llama", "jackfield-llama"),
    ref("Tiny", "acme"),
    ref("Llama", "other"),
    ref("Mine", "local"),
)
ALL = (OURS, THEIRS, SAME, LOCAL)


def allowed(**settings):
    found = Scan(ALL, (), frozenset({"jackfield", "jackfield-llama"}))
    return PluginFilter(PluginSettings(**settings), found).allowed(ALL)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, ALL),
        ({"allow": ("acme",)}, (OURS, THEIRS, LOCAL)),
        ({"allow": ("Tiny",)}, (OURS, THEIRS, LOCAL)),
        ({"allow": ("ACME",)}, (OURS, THEIRS, LOCAL)),
        ({"allow": ("Llama@other",)}, (OURS, SAME, LOCAL)),
        ({"autoload": False}, (OURS, LOCAL)),
        ({"autoload": False, "required": ("other",)}, (OURS, SAME, LOCAL)),
        ({"autoload": False, "allow": ("acme",)}, (OURS, THEIRS, LOCAL)),
        ({"deny": ("jackfield-llama",)}, (THEIRS, SAME, LOCAL)),
        ({"deny": ("Llama",)}, (THEIRS, LOCAL)),
        ({"deny": ("Llama@other", "local")}, (OURS, THEIRS)),
        ({"allow": ("acme",), "deny": ("acme",)}, (OURS, LOCAL)),
    ],
)
def test_the_lists_let_in(settings, kept):
    assert allowed(**settings) == kept


@pytest.mark.parametrize("key", ["allow", "required"])
def test_a_word_that_means_no_plugin_is_an_error_that_lists_what_is_installed(key):
    with pytest.raises(PluginNotFound) as caught:
        allowed(**{key: ("acne",)})

    for part in (
        f"plugins.{key} names 'acne'",
        "did you mean 'acme'",
        "jackfield-llama",
        "pip install acne",
    ):
        assert part in str(caught.value)


def idle(*words):
    found = Scan(ALL, (), frozenset({"jackfield", "jackfield-llama", "jackfield-cuda"}))
    return [p.name for p in PluginFilter(PluginSettings(deny=words), found).idle(ALL)]


def test_what_is_not_installed_may_be_denied_and_is_told():
    assert allowed(deny=("nobody",)) == ALL
    assert idle("nobody", "acme", "Tiny@nobody", "Llama@other") == ["nobody", "Tiny@nobody"]


def test_a_denied_first_party_plugin_need_not_be_installed():
    assert idle("jackfield-cuda") == []


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("acne", "acme"),
        ("amce", "acme"),
        ("acmee", "acme"),
        ("jackfield-lama", "jackfield-llama"),
        ("tiny", "Tiny"),
        ("Tiny@acne", "Tiny@acme"),
        ("Lama@other", "Llama@other"),
    ],
)
def test_a_slip_in_a_denied_word_lets_nothing_in(word, meant):
    with pytest.raises(PluginNotFound, match=f"plugins.deny names '{word}'.*mean '{meant}'"):
        allowed(deny=(word,))


@pytest.mark.parametrize("word", ["acm", "Llama2", "acme-next", "Tiny@next"])
def test_another_word_is_no_slip(word):
    assert allowed(deny=(word,)) == ALL


def test_a_name_of_another_distribution_is_told_with_its_owners():
    with pytest.raises(PluginNotFound) as caught:
        allowed(allow=("Llama@nobody",))

    text = "'Llama' is of jackfield-llama and other here. Write Llama@jackfield-llama, or pip install nobody"
    assert text in str(caught.value)


def test_what_is_required_must_not_be_denied():
    with pytest.raises(ConfigError, match=r"plugins.required names 'acme', which plugins\.deny"):
        allowed(required=("acme",), deny=("Tiny",))
