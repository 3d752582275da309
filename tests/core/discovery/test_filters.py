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


def test_what_is_not_installed_may_be_denied():
    assert allowed(deny=("nobody",)) == ALL


def test_what_is_required_must_not_be_denied():
    with pytest.raises(ConfigError, match=r"plugins.required names 'acme', which plugins\.deny"):
        allowed(required=("acme",), deny=("Tiny",))
