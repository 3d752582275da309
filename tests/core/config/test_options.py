"""Options of plugins: read into what the card declares, and never silently unread."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from jackfield.config import load_config
from jackfield.config.options import check_options, read_options
from jackfield.errors import ConfigError, UnknownSettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    speed: int = 1
    mode: str = "safe"


def load(**options):
    return load_config(environ={}, code={"options": options})


def check(loaded, declared, installed):
    check_options(declared, frozenset(installed), loaded.config, loaded.provenance)


def test_options_are_an_instance_of_the_declared_class():
    assert read_options(Options, "acme", load(acme={"speed": 3}).config) == Options(speed=3)


def test_a_plugin_without_options_in_the_config_gets_its_defaults():
    assert read_options(Options, "acme", load().config) == Options()


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(UnknownSettingError, match=r"options\.acme\.sped.*did you mean 'speed'"):
        read_options(Options, "acme", load(acme={"sped": 3}).config)


def test_an_option_that_is_gone_names_what_is_written_instead():
    class Later(Options):
        REMOVED: ClassVar = {"pace": "speed"}

    with pytest.raises(
        UnknownSettingError, match=r"options\.acme\.pace.*gone \(code\).*speed instead"
    ):
        read_options(Later, "acme", load(acme={"pace": 3}).config)


def test_an_option_of_another_type_is_refused():
    with pytest.raises(ConfigError, match=r"options\.acme\.speed must be a whole number, got 'x'"):
        read_options(Options, "acme", load(acme={"speed": "x"}).config)


def test_options_for_a_plugin_that_is_not_installed_are_refused():
    with pytest.raises(UnknownSettingError, match=r"\[options\.acne\].*did you mean 'acme'"):
        check(load(acne={"speed": 3}), {"acme": Options}, ["acme"])


def test_options_for_a_selected_plugin_that_takes_none_are_refused():
    with pytest.raises(UnknownSettingError, match="acme takes no options"):
        check(load(acme={"speed": 3}), {"acme": None}, ["acme"])


def test_options_for_an_installed_plugin_that_is_not_selected_pass():
    check(load(acme={"whatever": 3}), {}, ["acme"])
