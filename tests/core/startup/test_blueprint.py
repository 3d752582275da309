"""Everything about an engine is decided before anything heavy, and says why."""

import logging
import pickle
import subprocess
import sys

import pytest

from jackfield.activation import PluginRef
from jackfield.config import load_config
from jackfield.errors import (
    CheckpointError,
    ConfigError,
    ModelError,
    ModelNotFound,
    PluginConflict,
    PluginIncompatible,
    PluginLoadError,
    PluginNotFound,
    SelectionError,
    UnknownSettingError,
    UnsupportedModelError,
)
from jackfield.startup.blueprint import make_blueprint


def selected(blueprint):
    return {
        (s.plugin.kind.partition(".")[2], s.subject): s.plugin.name
        for s in blueprint.activation.selections
    }


def test_a_blueprint_selects_every_part_and_gives_a_decision_for_each(world):
    blueprint = world.plan()

    assert selected(blueprint) == {
        ("model_sources", "model"): "folder",
        ("weight_formats", "model"): "config_only",
        ("models", "model"): "TinyForCausalLM",
        ("tokenizers", "model"): "words",
        ("platforms", "engine"): "acme",
        ("executors", "engine"): "alone",
        ("schedulers", "engine"): "plain",
        ("kernels", "layer 0"): "slow",
        ("kernels", "layer 1"): "slow",
        ("hooks", "watcher"): "watcher",
    }
    assert len(blueprint.decisions) == 10


def test_a_blueprint_makes_what_it_selected(world):
    blueprint = world.plan()

    executor = blueprint.make_executor()

    assert (executor.kind, executor.context) == ("alone", blueprint.context())
    assert type(blueprint.make_policy()).__name__ == "Policy"
    assert blueprint.open_tokenizer().path == world.folder
    assert [type(blueprint.registry.card(ref)).__name__ for ref in blueprint.hooks] == ["Watcher"]


def test_the_context_crosses_processes_and_carries_the_same_plan(world):
    context = world.plan().context()

    again = pickle.loads(pickle.dumps(context))

    assert again == context
    assert again.activation.digest == context.activation.digest


def test_the_same_settings_give_the_same_plan(world):
    assert world.plan().activation.digest == world.plan().activation.digest


def test_another_plugin_gives_another_plan(world):
    assert (
        world.plan().activation.digest
        != world.plan({"select.scheduler": "urgent"}).activation.digest
    )


def test_the_checkpoint_is_closed_after_its_config_was_read(world):
    world.plan()

    assert sys.modules["acme_world"].Opened.closed == 1


def test_the_platform_of_the_highest_precedence_that_fits_is_chosen(world):
    assert selected(world.plan())["platforms", "engine"] == "acme"
    assert selected(world.plan(window=8))["platforms", "engine"] == "host"  # acme serves no windows


def test_a_platforms_defaults_hold_where_nobody_else_says_otherwise(world):
    blueprint = world.plan()

    assert blueprint.config.scheduler.max_rows == 4
    assert str(blueprint.provenance["scheduler.max_rows"]) == "default of platform acme"
    assert world.plan({"scheduler.max_rows": 9}).config.scheduler.max_rows == 9


@pytest.mark.parametrize(
    ("settings", "model", "cache", "source"),
    [
        ({}, "float16", "float16", "default of platform acme"),
        ({"model.dtype": "float32"}, "float32", "float32", "code"),
        ({"select.platform": "host"}, "bfloat16", "bfloat16", "dtype of the checkpoint"),
        ({"cache.dtype": "float8_e4m3"}, "float16", "float8_e4m3", "default of platform acme"),
    ],
)
def test_auto_dtypes_are_resolved(world, settings, model, cache, source):
    blueprint = world.plan(settings)

    assert (blueprint.config.model.dtype, blueprint.config.cache.dtype) == (model, cache)
    assert str(blueprint.provenance["model.dtype"]) == source


def test_a_platform_is_asked_with_the_dtype_that_it_would_run(world):
    assert selected(world.plan({"model.dtype": "float64"}))["platforms", "engine"] == "host"


def test_the_length_is_the_models_unless_it_is_set(world):
    assert world.plan().config.model.max_length == 64
    assert world.plan({"model.max_length": 32}).config.model.max_length == 32


def test_a_length_beyond_the_model_is_refused(world):
    with pytest.raises(ConfigError, match=r"model.max_length is 65 \(code\).*made for 64 tokens"):
        world.plan({"model.max_length": 65})


def test_dynamic_frequencies_allow_a_length_beyond_the_model(world):
    assert world.plan({"model.max_length": 128}, scaling="dynamic").config.model.max_length == 128


def test_several_ranks_take_an_executor_that_serves_them(world):
    blueprint = world.plan({"executor.tensor_parallel": 2})

    assert selected(blueprint)["executors", "engine"] == "many"
    assert blueprint.context().num_ranks == 2


def test_rules_choose_for_each_layer(world):
    rules = [{"match": {"layer": 1}, "use": "fast"}]

    found = selected(world.plan({"select.kernel": rules}))

    assert (found["kernels", "layer 0"], found["kernels", "layer 1"]) == ("slow", "fast")


def test_a_rule_that_decides_nothing_must_name_what_is_installed(world):
    rules = [{"match": {"layer": 99}, "use": "fats"}]

    with pytest.raises(PluginNotFound, match=r"select\.kernel, rule 1: no kernel 'fats'.*'fast'"):
        world.plan({"select.kernel": rules})


def test_a_rule_for_another_model_must_name_what_is_installed(world):
    rules = [{"match": {"architecture": "Other"}, "use": "OtherForCausalLM"}]

    with pytest.raises(PluginNotFound, match=r"select\.model, rule 1: no model 'OtherForCausalLM'"):
        world.plan({"select.model": rules})


def test_a_rule_that_matches_nothing_is_told_in_the_log_and_by_the_blueprint(world, caplog):
    rules = [{"match": {"layer": 99}, "use": "fast"}]

    with caplog.at_level(logging.WARNING):
        (idle,) = world.plan({"select.kernel": rules}).idle_rules

    assert idle == "code: select.kernel, rule 1: matches nothing; layer is 0 or 1"
    assert idle in caplog.text


def test_a_thorough_blueprint_asks_everybody_and_selects_the_same(world):
    quick, thorough = world.plan(), world.plan(thorough=True)

    assert thorough.activation.digest == quick.activation.digest
    assert "not asked" in "".join(d.report() for d in quick.decisions)
    assert "not asked" not in "".join(d.report() for d in thorough.decisions)


def test_another_models_tokenizer_may_be_named(world, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "words.txt").touch()

    blueprint = world.plan({"model.tokenizer": str(other)}, words=False)

    assert blueprint.open_tokenizer().path == other


def test_a_model_without_a_tokenizer_runs_on_token_ids_and_says_so_when_it_is_asked_for(world):
    blueprint = world.plan(words=False)

    assert not blueprint.has_tokenizer
    with pytest.raises(ModelError) as caught:
        blueprint.open_tokenizer()
    for part in ("no tokenizer", "there is no words.txt", "model.tokenizer"):
        assert part in str(caught.value)


def test_a_tokenizer_format_that_the_user_named_must_fit(world):
    with pytest.raises(SelectionError, match="there is no words.txt"):
        world.plan({"select.tokenizer": "words"}, words=False)


def test_no_model_is_named(world):
    with pytest.raises(ConfigError, match=r"no model was named.*hub name"):
        world.plan({"model.reference": ""})


def test_an_unknown_model_tells_what_each_source_says(world):
    with pytest.raises(
        ModelNotFound, match=r"no model 'nosuch': there is no such file or folder here. A model is"
    ):
        world.plan({"model.reference": "nosuch"})


def test_a_folder_without_a_model_tells_what_each_format_says(world, tmp_path):
    with pytest.raises(
        CheckpointError, match="no weights that can be read .*there is no config.json"
    ):
        world.plan({"model.reference": str(tmp_path)})


def test_an_unknown_architecture_tells_what_is_known_and_what_to_install(world):
    with pytest.raises(UnsupportedModelError) as caught:
        world.plan(architectures=["HugeForCausalLM"])

    for part in (
        "'HugeForCausalLM'",
        "Installed: TinyForCausalLM",
        "pip install jackfield-huge",
        "jackfield new model Huge",
    ):
        assert part in str(caught.value)


def test_the_first_known_of_several_architectures_is_taken(world):
    assert (
        selected(world.plan(architectures=["HugeForCausalLM", "TinyForCausalLM"]))[
            "models", "model"
        ]
        == "TinyForCausalLM"
    )


def test_the_user_may_name_a_model_for_an_unknown_architecture(world):
    settings = {"select.model": "TinyForCausalLM@acme"}

    assert (
        world.plan(settings, architectures=["HugeForCausalLM"]).spec.architecture
        == "HugeForCausalLM"
    )


def test_a_config_without_an_architecture_is_refused(world):
    with pytest.raises(UnsupportedModelError, match="names no architecture"):
        world.plan(architectures=[])


def test_a_model_that_raises_is_named(world):
    with pytest.raises(PluginLoadError, match="'TinyForCausalLM' of acme 1.0.*KeyError: 'bad'"):
        world.plan(bad=True)


def test_an_unknown_plugin_in_the_config_tells_what_is_installed(world):
    with pytest.raises(PluginNotFound, match="no platform 'acne'; did you mean 'acme'.*Installed"):
        world.plan({"select.platform": "acne"})


def test_an_unknown_selection_tells_the_nearest(world):
    with pytest.raises(
        UnknownSettingError, match=r"nothing reads select\.kernle.*did you mean 'kernel'"
    ):
        world.plan({"select.kernle": "fast"})


def test_an_unknown_option_tells_the_nearest(world):
    with pytest.raises(UnknownSettingError, match=r"options\.acme\.sped.*did you mean 'speed'"):
        world.plan({"options.acme.sped": 3})


def test_options_of_a_known_plugin_pass(world):
    assert world.plan({"options.acme.speed": 3}).config.options == {"acme": {"speed": 3}}


def test_a_plugin_that_raises_at_import_is_passed_over_visibly(world, caplog):
    targets = {"jackfield.platforms.v1": {"aaa": "bad_module:A"}}
    world.distributions.add("bad", targets, modules={"bad_module": "raise OSError('driver')"})

    with caplog.at_level(logging.WARNING):
        blueprint = world.plan(thorough=True)

    assert selected(blueprint)["platforms", "engine"] == "acme"
    assert "OSError: driver" in caplog.text
    assert [problem.distribution for problem in blueprint.registry.problems] == ["bad"]


def test_a_plugin_that_raises_at_import_stops_who_named_it(world):
    targets = {"jackfield.platforms.v1": {"aaa": "bad_module:A"}}
    world.distributions.add("bad", targets, modules={"bad_module": "raise OSError('driver')"})

    with pytest.raises(PluginLoadError, match="platform 'aaa' of bad 1.0.*OSError: driver"):
        world.plan({"select.platform": "aaa"})


def test_a_required_plugin_that_raises_at_import_stops_the_start(world):
    targets = {"jackfield.platforms.v1": {"aaa": "bad_module:A"}}
    world.distributions.add("bad", targets, modules={"bad_module": "raise OSError('driver')"})

    with pytest.raises(PluginLoadError, match="OSError: driver"):
        world.plan({"plugins.required": ["bad"]})


def test_a_plugin_of_another_major_stops_who_named_it(world):
    world.distributions.add("next", {"jackfield.schedulers.v2": {"fair": "next_module:Fair"}})

    with pytest.raises(
        PluginIncompatible, match=r"fair \(next 1.0\) speaks jackfield.schedulers v2.*serves v1"
    ):
        world.plan({"select.scheduler": "fair"})


def test_two_plugins_of_one_name_stop_the_start_until_the_config_says_which(world):
    world.distributions.add("other", {"jackfield.schedulers.v1": {"plain": "acme_world:Policy"}})

    with pytest.raises(PluginConflict, match="acme 1.0 and other 1.0"):
        world.plan()
    named = world.plan({"select.scheduler": "plain@other"}).activation.selected(
        "jackfield.schedulers"
    )
    denied = world.plan(plugins={"deny": ("plain@other",)}).activation.selected(
        "jackfield.schedulers"
    )
    assert (named.distribution, denied.distribution) == ("other", "acme")


METER = """
from dataclasses import dataclass
from jackfield.interfaces.hooks import hookimpl

@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    every: int = 10

class Meter:
    options = Options
    @hookimpl
    def step_finished(self): ...

class Quiet:
    @hookimpl
    def step_finished(self): ...
"""


@pytest.fixture
def metered(world):
    hooks = {"meter": "acme_meter:Meter", "quiet": "acme_meter:Quiet"}
    world.distributions.add("meters", {"jackfield.hooks.v1": hooks}, modules={"acme_meter": METER})
    return world


def test_a_hook_may_have_options(metered):
    blueprint = metered.plan({"options.meter.every": 5})

    assert blueprint.config.options["meter"] == {"every": 5}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("options.meter.evry", r"unknown option 'options\.meter\.evry'.*'every'"),
        ("options.quiet.every", "quiet takes no options"),
    ],
)
def test_options_that_no_hook_reads_are_errors(metered, option, words):
    with pytest.raises(UnknownSettingError, match=words):
        metered.plan({option: 5})


def test_two_hooks_of_one_name_stop_the_start_until_one_is_denied(world):
    world.distributions.add("other", {"jackfield.hooks.v1": {"watcher": "acme_world:Watcher"}})

    with pytest.raises(PluginConflict) as caught:
        world.plan()
    denied = world.plan(plugins={"deny": ("watcher@acme",)})

    assert 'plugins.deny = ["watcher@acme"]' in str(caught.value)
    assert "[select]" not in str(caught.value)
    assert [ref.distribution for ref in denied.hooks] == ["other"]


@pytest.mark.parametrize(
    ("kind", "error", "told"),
    [
        ("jackfield_acme.kernel", ConfigError, "mean 'jackfield_acme.kernels'.*Kinds: "),
        ("models.v9", PluginIncompatible, "speaks jackfield.models v9.*Write it for v1"),
        ("jackfield_acme.kernels.v9", PluginIncompatible, "Write it for v1"),
    ],
)
def test_a_local_plugin_that_no_engine_can_use_stops_the_start(
    world, tmp_path, monkeypatch, kind, error, told
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_part.py").write_text("from acme_world import Kernel\n")

    with pytest.raises(error, match=told):
        world.plan(plugins={"local": (f"{kind}.Mine=my_part:Kernel",)})


def test_a_local_plugin_for_another_runtime_that_is_installed_stops_nothing(
    world, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_part.py").write_text("from acme_world import Kernel\n")
    local = ("jackfield_acme.kernels.mine=my_part:Kernel",)

    assert world.plan({"select.platform": "host"}, plugins={"local": local})


def test_settings_that_leave_out_every_executor_are_told_as_what_they_are(world):
    with pytest.raises(ConfigError, match=r"would leave no executor: .*alone@acme, many@acme"):
        world.plan(plugins={"deny": ("alone", "many")})


def test_a_denied_word_that_means_nothing_is_told_in_the_log(world, caplog):
    with caplog.at_level(logging.WARNING):
        world.plan(plugins={"deny": ("nobody",)})

    assert "plugins.deny nobody: nothing of that name is installed" in caplog.text


def test_a_local_model_enters_the_plan_with_the_hash_of_its_file(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text("from acme_world import tiny as build\n")
    local = ("models.MineForCausalLM=my_model:build",)

    blueprint = world.plan(plugins={"local": local}, architectures=["MineForCausalLM"])

    plugin: PluginRef = blueprint.activation.selected("jackfield.models")
    assert (plugin.distribution, len(plugin.content_sha256)) == ("local", 64)


IMPORTS = """
import sys
from pathlib import Path
from jackfield.config import load_config
from jackfield.startup.blueprint import make_blueprint

make_blueprint(load_config(environ={}, code=CODE), thorough=True)
print(*sorted({"torch", "jax", "transformers", "numpy"} & set(sys.modules)))
"""


def test_making_a_blueprint_imports_no_tensor_library(world):
    code = {
        "model.reference": str(world.write_model()),
        "select": dict(CHOICES),
        "plugins.deny": [],
    }
    path = str(world.distributions.folder / "1")
    source = f"import sys; sys.path.insert(0, {path!r}); CODE = {code!r}{IMPORTS}"

    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )

    assert (done.stdout.strip(), done.stderr) == ("", "")


CHOICES = {
    "model_source": "folder",
    "weight_format": "config_only",
    "tokenizer": "words",
    "platform": "acme",
    "executor": "alone",
    "scheduler": "plain",
}


def test_the_registry_is_scanned_by_the_settings_where_none_is_given(world):
    loaded = load_config(environ={}, code={"plugins.required": ["nobody"]})

    with pytest.raises(PluginNotFound, match="plugins.required names 'nobody'"):
        make_blueprint(loaded)


NARROW = """
    from jackfield.decision import Reason
    from jackfield.interfaces.structured_output import StructuredOutput

    class Narrow(StructuredOutput):
        forms = frozenset({"verse"})

        def check(self, need, facts):
            return (Reason("library", "its library is missing", "install it"),)

        def create(self, vocabulary, config):
            raise AssertionError("nobody asked")
"""


def test_a_form_that_nothing_compiles_ends_no_engine_unless_it_was_named(world):
    entry_points = {"jackfield.structured_output.v1": {"narrow": "narrow:Narrow"}}
    world.distributions.add("narrow", entry_points, modules={"narrow": NARROW})

    decisions = {(d.kind, d.subject): d for d in world.plan().decisions}

    assert decisions["structured_output", "verse"].chosen is None
    with pytest.raises(SelectionError, match="its library is missing"):
        world.plan({"select.structured_output": "narrow"})
