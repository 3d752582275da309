"""Whatever a plugin does while an engine is decided: one error that names it, and none where it is not needed."""

import pytest

from jackfield.errors import CheckpointError, PluginLoadError, SelectionError

PLATFORM = """
    import sys
    from acme_world import Host
    class Bad(Host):
        precedence = 99
        features = frozenset({"*"})
"""
FORMAT = """
    import sys
    from acme_world import Words, ConfigOnly, Folder, Alone, Opened, Runner, Dictionary
"""


@pytest.fixture
def bad(world):
    """`bad(kind, source)` installs the plugin `aaa`; returned is the world to plan in."""

    def bad(kind, source, head=PLATFORM):
        group = f"jackfield.{kind}.v1"
        world.distributions.add(
            "bad", {group: {"aaa": "bad_plugin:Bad"}}, modules={"bad_plugin": head + source}
        )
        return world

    return bad


def selected(blueprint, kind):
    return blueprint.activation.selected(f"jackfield.{kind}").name


@pytest.mark.parametrize(
    "source",
    [
        "        precedence = 'high'",
        "        serves = None",
        "        features = ['x']",
        "        options = 5",
        "        def check(self, need, facts): sys.exit(0)",
        "        def check(self, need, facts): facts['a'] = 1",
        "        def defaults(self, facts): raise RuntimeError",
        "        def defaults(self, facts): sys.exit(0)",
        "        def defaults(self, facts): return ['x']",
    ],
)
def test_a_platform_that_fails_while_it_is_asked_is_passed_over(bad, source):
    blueprint = bad("platforms", source).plan(thorough=True)

    assert selected(blueprint, "platforms") == "acme"
    (found,) = (c for d in blueprint.decisions for c in d.candidates if c.name == "aaa")
    assert (found.distribution, found.version, found.verdict) == ("bad", "1.0", "failed")


@pytest.mark.parametrize(
    ("kind", "base", "source"),
    [
        ("tokenizers", "Words", "def check(self, need, facts): sys.exit(0)"),
        ("tokenizers", "Words", "features = 3"),
        ("model_sources", "Folder", "def check(self, need, facts): sys.exit(0)"),
        ("weight_formats", "ConfigOnly", "features = ['a']"),
        ("executors", "Alone", "features = None"),
    ],
)
def test_a_plugin_that_fails_while_it_is_asked_is_passed_over(bad, kind, base, source):
    blueprint = bad(kind, f"    class Bad({base}):\n        {source}", FORMAT).plan()

    assert selected(blueprint, kind) != "aaa"


def test_no_platform_is_imported_where_another_is_named(bad):
    blueprint = bad("platforms", "    raise AssertionError('was imported')").plan(
        {"select.platform": "host"}
    )

    assert selected(blueprint, "platforms") == "host"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            "        def choices(self, spec, config, facts): return None",
            r"choices\(\) must return a",
        ),
        (
            "        def choices(self, spec, config, facts): return (1,)",
            "must return a .*ChoicePoint, got 1",
        ),
        (
            "        def choices(self, spec, config, facts): raise RuntimeError('x')",
            "RuntimeError: x",
        ),
        ("        def choices(self, spec, config, facts): sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_a_platform_that_fails_in_its_choices_is_named(bad, source, told):
    world = bad("platforms", source)

    with pytest.raises(
        PluginLoadError, match=rf"(?s)choices of the platform 'aaa' of bad 1\.0.*{told}"
    ):
        world.plan({"select.platform": "aaa"})


@pytest.mark.parametrize(
    ("kind", "setting", "source", "told"),
    [
        ("model_sources", "model_source", "class Bad(Folder):\n        def resolve(self, r): return None", "ModelFiles, got None"),
        ("model_sources", "model_source", "class Bad(Folder):\n        def resolve(self, r): raise RuntimeError('x')", "RuntimeError: x"),
        ("weight_formats", "weight_format", "class Bad(ConfigOnly):\n        def open(self, f): return None", "Checkpoint, got None"),
        ("weight_formats", "weight_format", "class Bad(ConfigOnly):\n        def open(self, f): raise RuntimeError('x')", "RuntimeError: x"),
        ("models", "model", "def Bad(config): return None", "ModelSpec, got None"),
        ("models", "model", "def Bad(config): sys.exit(0)", "SystemExit: 0"),
        ("models", "model", "import acme_world, dataclasses\n    def Bad(config): return dataclasses.replace(acme_world.tiny(config), layers=None)", "layers must be a tuple of Layer"),
        ("models", "model", "import acme_world, dataclasses\n    def Bad(config): return dataclasses.replace(acme_world.tiny(config), modules={'a': print})", "'a'.* must be a ModuleSource"),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_at_its_work_is_named(bad, kind, setting, source, told):
    world = bad(kind, f"    {source}", FORMAT)

    with pytest.raises(PluginLoadError, match=rf"(?s)'aaa' of bad 1\.0.*{told}"):
        world.plan({f"select.{setting}": "aaa"})


def test_architectures_that_are_no_list_of_names_are_told_with_who_read_them(world):
    with pytest.raises(CheckpointError, match="architectures=5.*'config_only' of acme 1.0"):
        world.plan(architectures=5)


@pytest.mark.parametrize(
    ("kind", "setting", "source", "told"),
    [
        ("executors", "executor", "class Bad(Alone):\n        def create(self, context): return None", "Executor, got None"),
        ("executors", "executor", "class Bad(Alone):\n        def create(self, context): sys.exit(0)", "SystemExit: 0"),
        ("executors", "executor", "class R(Runner): depth = 0\n    class Bad(Alone):\n        def create(self, context): return R('r', context)", "depth must be .* got 0"),
        ("tokenizers", "tokenizer", "class Bad(Words):\n        def open(self, files): return 7", "Tokenizer, got 7"),
        ("tokenizers", "tokenizer", "class Bad(Words):\n        def open(self, files): sys.exit(0)", "SystemExit: 0"),
        ("tokenizers", "tokenizer", "class D(Dictionary): end_token_ids = ('</s>',)\n    class Bad(Words):\n        def open(self, files): return D(files)", "end_token_ids must be numbers"),
    ],
)  # fmt: skip
def test_a_plugin_that_makes_something_else_is_named(bad, kind, setting, source, told):
    blueprint = bad(kind, f"    {source}", FORMAT).plan({f"select.{setting}": "aaa"})
    make = {"executors": blueprint.make_executor, "tokenizers": blueprint.open_tokenizer}[kind]

    with pytest.raises(PluginLoadError, match=rf"(?s)'aaa' of bad 1\.0.*{told}"):
        make()


def test_a_check_that_ends_the_process_is_an_error_where_the_plugin_is_named(bad):
    world = bad(
        "tokenizers", "    class Bad(Words):\n        def check(self, n, f): sys.exit(0)", FORMAT
    )

    with pytest.raises(SelectionError, match="SystemExit: 0"):
        world.plan({"select.tokenizer": "aaa"})


def test_what_plugins_print_while_they_are_asked_does_not_mix_with_the_answer(bad, capsys):
    bad("platforms", "    print('at import')").plan()

    assert capsys.readouterr().out == ""


GREEDY = """
    from jackfield.interfaces.tokenizer import TokenizerFormat
    class Bad(TokenizerFormat):
        def open(self, files): ...
"""


def test_a_tokenizer_format_without_a_check_takes_no_model_by_itself(bad):
    blueprint = bad("tokenizers", GREEDY, "").plan()

    assert selected(blueprint, "tokenizers") == "words"
    report = next(d.report() for d in blueprint.decisions if d.kind == "tokenizers")
    assert "does not say which ones are its own" in report
    assert 'select.tokenizer = "aaa"' in report


def test_a_tokenizer_format_without_a_check_is_taken_where_it_is_named(bad):
    blueprint = bad("tokenizers", GREEDY, "").plan({"select.tokenizer": "aaa"})

    assert selected(blueprint, "tokenizers") == "aaa"
