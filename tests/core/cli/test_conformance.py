"""Every command of the core passes the kit of commands."""

import pytest

from jackfield_testing.conformance.command import CommandKit
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

SETTINGS = [word for item in REFERENCE_SETTINGS.items() for word in ("--set", "=".join(item))]
ON_THE_MODEL = ("model", *SETTINGS)
pytestmark = pytest.mark.core_model


class OnAModel(CommandKit):
    @pytest.fixture
    def folder(self, tmp_path):
        write_model(tmp_path / "model")
        return tmp_path


class TestGenerate(OnAModel):
    name = "generate"
    good_calls = ((*ON_THE_MODEL, "--prompt", "a", "--max-tokens", "2"),)
    bad_calls = (
        ("nowhere", "--prompt", "a"),
        (*ON_THE_MODEL, "--prompts-file", "nothing.txt"),
        (*ON_THE_MODEL, "--prompt", "a", "--temperature", "-1"),
    )


@pytest.mark.cpu_model
class TestEmbed(OnAModel):
    """The reference platform makes no vectors."""

    name = "embed"
    good_calls = (
        (
            "model",
            "--set",
            "select.platform=cpu",
            "--set",
            "select.weight_format=dummy",
            "--prompt",
            "a",
        ),
    )
    bad_calls = (
        ("nowhere", "--prompt", "a"),
        (*ON_THE_MODEL, "--prompts-file", "nothing.txt"),
        (*ON_THE_MODEL, "--prompt", "a", "--dimensions", "0"),
    )


class TestChat(OnAModel):
    name = "chat"
    good_calls = (ON_THE_MODEL,)  # there is nothing to read: it ends at once
    bad_calls = (("nowhere",), ("model", "--set", "select.platform=nothing"))


class TestExplain(OnAModel):
    name = "explain"
    good_calls = (ON_THE_MODEL, (*ON_THE_MODEL, "--json"), (*ON_THE_MODEL, "--toml"))
    # a model that is nowhere is explained, too
    bad_calls = ((), ("--diff", "a.json", "b.json"), ("model", "--profile", "none"))


class TestPlugins(CommandKit):
    name = "plugins"
    good_calls = ((), ("list", "--json"), ("lock",))
    bad_calls = (("--set", "plugins.probe=never"), ("unlock",), ("--check",))


class TestDoctor(CommandKit):
    name = "doctor"
    good_calls = (("--json", "--save-profile", "here.json"),)
    bad_calls = (("--save-profile", "here.json", "--set", "plugins.probe=never"),)


class TestModels(CommandKit):
    name = "models"
    good_calls = ((), ("--json",), (".",))
    bad_calls = (("smolm2",), ("--set", "plugins.probe=never"))


class TestCollectEnv(CommandKit):
    name = "collect-env"
    good_calls = ((),)
    bad_calls = (("--config", "nothing.toml"),)
