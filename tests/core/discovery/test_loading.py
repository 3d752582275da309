"""Whatever a plugin does while it is loaded, the error says who did it and what helps."""

import pytest

from jackfield.discovery.loading import load_target
from jackfield.errors import PluginLoadError
from jackfield.interfaces.tokenizer import TokenizerFormat


@pytest.fixture
def load(distributions):
    def load(source, target="acme_plugin:Thing", group="jackfield.tokenizers.v1"):
        distributions.add("acme", {group: {"acme": target}}, modules={"acme_plugin": source})
        registry = distributions.scan()
        return load_target(registry.ref(group.removesuffix(".v1"), "acme"))

    return load


def test_a_class_becomes_a_card(load):
    source = """
        from jackfield.interfaces.tokenizer import TokenizerFormat
        class Thing(TokenizerFormat):
            def open(self, files): ...
    """

    assert isinstance(load(source), TokenizerFormat)


def test_a_model_stays_a_function(load):
    assert load("def Thing(config): return 'spec'", group="jackfield.models.v1")(None) == "spec"


def test_a_hook_is_any_class_made(load):
    assert load("class Thing: word = 'hook'", group="jackfield.hooks.v1").word == "hook"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise ValueError('driver is old')", "ValueError: driver is old"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import acme_missing", "pip install acme_missing"),
        ("import json.acme", "upgrade it and acme"),
        ("x = (", "SyntaxError"),
        ("", "has no attribute 'Thing'"),
        ("class Thing: ...", "Thing must extend jackfield.interfaces.tokenizer.TokenizerFormat"),
        ("Thing = 3", "must be a class that extends TokenizerFormat, got 3"),
        (
            "from jackfield.interfaces.tokenizer import TokenizerFormat\nclass Thing(TokenizerFormat): ...",
            "abstract",
        ),
    ],
)
def test_a_broken_plugin_is_named_with_its_cause_and_a_way_out(load, source, told):
    with pytest.raises(PluginLoadError) as caught:
        load(source)

    for part in ("'acme' of acme 1.0 (acme_plugin:Thing)", told, 'plugins.deny = ["acme@acme"]'):
        assert part in str(caught.value)


def test_the_traceback_is_the_plugins_own(load):
    with pytest.raises(PluginLoadError) as caught:
        load("def start():\n    raise ValueError('no')\nstart()")

    assert "acme_plugin.py" in str(caught.value)
    assert "loading.py" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_distribution_without_its_own_module_is_to_be_reinstalled(load):
    with pytest.raises(
        PluginLoadError, match="Reinstall acme, which lacks its own module acme_gone"
    ):
        load("", target="acme_gone:Thing")


def test_a_model_must_be_callable(load):
    with pytest.raises(PluginLoadError, match="must be a function, got 3"):
        load("Thing = 3", group="jackfield.models.v1")


def test_an_interrupt_passes(load):
    with pytest.raises(KeyboardInterrupt):
        load("raise KeyboardInterrupt")
