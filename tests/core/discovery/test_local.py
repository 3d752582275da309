"""One-file plugins: found without importing, loaded only as they were found."""

import hashlib
import sys

import pytest

from jackfield.discovery.loading import load_target
from jackfield.discovery.local import parse_local
from jackfield.errors import ConfigError, PluginConflict, PluginLoadError, PluginNotFound

SOURCE = "def build(config):\n    return 'spec'\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, which is not on sys.path: so it is for the installed program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))]
    )
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_file_in_the_current_folder_is_a_plugin(folder, distributions):
    (folder / "my_model.py").write_text(SOURCE)

    registry = distributions.scan(local=("models.Mine=my_model:build",))

    ref = registry.ref("models", "Mine")
    assert (ref.distribution, ref.target) == ("local", "my_model:build")
    assert ref.content_sha256 == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert "my_model" not in sys.modules
    assert registry.card(ref)(None) == "spec"


def test_a_module_of_a_package_is_found_without_importing_its_parents(folder):
    (folder / "mine" / "inner").mkdir(parents=True)
    (folder / "mine" / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / "mine" / "inner" / "model.py").write_text(SOURCE)

    ref = parse_local("models.Mine=mine.inner.model:build")

    assert ref.content_sha256
    assert not [name for name in sys.modules if name.startswith("mine")]


def test_a_module_of_a_package_loads_after_its_parents(folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").write_text("word = 'parent'")
    (folder / "mine" / "model.py").write_text(
        "from mine import word\ndef build(config): return word"
    )

    assert load_target(parse_local("models.Mine=mine.model:build"))(None) == "parent"


@pytest.mark.parametrize(
    ("text", "kind", "major"),
    [
        ("models.Mine=my_model:build", "jackfield.models", 1),
        ("jackfield.models.Mine=my_model:build", "jackfield.models", 1),
        ("models.v2.Mine = my_model:build", "jackfield.models", 2),
        ("jackfield_acme.kernels.v3.Mine=my_model:build", "jackfield_acme.kernels", 3),
        ("jackfield_acme.kernels.Mine=my_model:build", "jackfield_acme.kernels", 1),
    ],
)
def test_the_kind_may_say_package_and_major(folder, text, kind, major):
    (folder / "my_model.py").write_text(SOURCE)

    ref = parse_local(text)

    assert (ref.kind, ref.major, ref.name) == (kind, major, "Mine")


@pytest.mark.parametrize(
    "text", ["Mine", "models.Mine", "models.Mine=my_model", "Mine=my_model:build", "=x:y"]
)
def test_another_form_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="KIND.NAME=MODULE:ATTRIBUTE"):
        parse_local(text)


def test_a_missing_module_tells_where_it_was_looked_for(folder):
    with pytest.raises(PluginNotFound) as caught:
        parse_local("models.Mine=nowhere_to_be_found:build")

    assert "nowhere_to_be_found" in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_file_that_changed_since_it_was_selected_is_not_run(folder):
    (folder / "my_model.py").write_text(SOURCE)
    ref = parse_local("models.Mine=my_model:build")
    (folder / "my_model.py").write_text(SOURCE.replace("spec", "other"))

    with pytest.raises(PluginLoadError, match="content differs"):
        load_target(ref)

    assert "my_model" not in sys.modules


def test_a_file_with_the_name_of_a_loaded_module_is_refused(folder):
    (folder / "argparse.py").write_text(SOURCE)

    with pytest.raises(PluginLoadError, match="rename the file"):
        load_target(parse_local("models.Mine=argparse:build"))


def test_a_file_that_raises_is_named_and_leaves_nothing_behind(folder):
    (folder / "my_model.py").write_text("raise ValueError('no')")

    with pytest.raises(PluginLoadError, match="ValueError: no"):
        load_target(parse_local("models.Mine=my_model:build"))

    assert "my_model" not in sys.modules


def test_a_local_plugin_with_an_installed_name_is_a_conflict(folder, distributions):
    (folder / "my_model.py").write_text(SOURCE)
    distributions.add("acme", {"jackfield.models.v1": {"Mine": "acme:build"}})

    with pytest.raises(PluginConflict, match="acme 1.0 and local"):
        distributions.scan(local=("models.Mine=my_model:build",)).ref("models", "Mine")


def test_a_module_in_a_plain_folder_loads(folder):
    (folder / "plain").mkdir()
    (folder / "plain" / "model.py").write_text(SOURCE)

    assert load_target(parse_local("models.Mine=plain.model:build"))(None) == "spec"


def test_a_folder_is_no_plugin(folder):
    (folder / "plain").mkdir()

    with pytest.raises(PluginNotFound, match="is a folder"):
        parse_local("models.Mine=plain:build")


@pytest.mark.parametrize("target", ["build", "other"])
def test_one_name_twice_is_an_error(folder, distributions, target):
    (folder / "my_model.py").write_text(SOURCE)
    local = ("models.Mine=my_model:build", f"jackfield.models.Mine=my_model:{target}")

    with pytest.raises(
        ConfigError, match=f"'Mine' of models twice: my_model:build and my_model:{target}"
    ):
        distributions.scan(local=local)


@pytest.mark.parametrize(
    ("kind", "meant"),
    [("model", "models"), ("kernels", "jackfield_acme.kernels"), ("speculator", "speculators")],
)
def test_a_kind_that_the_core_does_not_serve_is_an_error_with_the_nearest(
    folder, distributions, kind, meant
):
    (folder / "my_model.py").write_text(SOURCE)
    distributions.add("acme", {"jackfield_acme.kernels.v1": {"fast": "acme:Fast"}})

    with pytest.raises(ConfigError, match=f"kind '{kind}', which nothing.*{meant}.*Kinds: .*hooks"):
        distributions.scan(local=(f"{kind}.Mine=my_model:build",))
