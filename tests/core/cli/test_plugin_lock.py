"""`jackfield plugins lock` freezes what is installed; an engine with a lock runs nothing else."""

import shutil

import pytest

from jackfield.config import load_config
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.scan import scan_installed
from jackfield.errors import PluginDrift
from jackfield.startup.blueprint import make_blueprint

pytestmark = pytest.mark.usefixtures("probe_inline")

GROUPS = {"jackfield.hooks.v1": {"watch": "late_hook:Watch"}}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A config file that lets in nothing but acme and names a lock beside it."""
    deny = sorted(scan_installed().first_party)
    file = tmp_path / "conf" / "jackfield.toml"
    file.parent.mkdir()
    file.write_text(f'[plugins]\nlock = "jackfield.lock"\ndeny = {deny}\n')
    monkeypatch.chdir(tmp_path)  # so the lock can only be found through its config
    return file


@pytest.fixture
def lock(config):
    return config.parent / "jackfield.lock"


@pytest.fixture
def run(jackfield, config, monkeypatch):
    """Run `plugins lock` with that config. The program itself comes from the core, which is denied."""
    monkeypatch.setattr("jackfield.cli.main._registry", lambda words: PluginRegistry.scan())
    return lambda *words: jackfield("plugins", "lock", *words, "--config", config)


def start(config, model):
    loaded = load_config(file=config, environ={}, code={"model.reference": str(model)})
    return make_blueprint(loaded)


def test_a_lock_is_written_beside_the_config_that_names_it(run, lock, world):
    done = run()

    assert done.status == 0, done.err
    assert "[distributions." in lock.read_text()


def test_without_the_setting_it_is_written_here_and_says_how_to_have_it_obeyed(
    jackfield, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    done = jackfield("plugins", "lock")

    assert (tmp_path / "jackfield.lock").is_file()
    assert 'set [plugins] lock = "jackfield.lock"' in done.out


def test_a_lock_is_obeyed_when_an_engine_starts(run, config, world, distributions):
    model = world.write_model()
    run()
    start(config, model)

    distributions.add("late", GROUPS, modules={"late_hook": "class Watch: ..."})

    with pytest.raises(PluginDrift, match=r"\+ late 1.0: not locked"):
        start(config, model)


def test_check_tells_the_difference_and_writes_nothing(run, lock, world, distributions):
    run()
    before = lock.read_text()
    assert run("--check").status == 0

    distributions.add("late", GROUPS)
    done = run("--check")

    assert (done.status, lock.read_text()) == (2, before)
    assert "+ late 1.0: not locked" in done.err


def test_writing_again_accepts_the_difference(run, world, distributions):
    run()
    distributions.add("late", GROUPS)

    assert run().status == 0
    assert run("--check").status == 0


def test_what_is_selected_for_a_named_model_is_locked_too(run, lock, world):
    done = run(world.write_model())

    assert done.status == 0, done.err
    assert '"jackfield_acme.kernels for layer 0" = "slow@acme"' in lock.read_text()
    assert run("--check").status == 0


def test_a_path_is_the_same_model_however_it_is_written(run, config, lock, world, monkeypatch):
    model = world.write_model()
    run(model)
    monkeypatch.chdir(model.parent)

    assert run(model.name).status == 0
    assert lock.read_text().count("[[models]]") == 1
    config.write_text(config.read_text() + '[select]\nkernel = "fast"\n')
    with pytest.raises(PluginDrift, match="slow@acme -> fast@acme"):
        start(config, model.name)


@pytest.fixture
def other(world, tmp_path):
    """A second model."""
    return shutil.copytree(world.write_model(), tmp_path / "other")


def test_one_lock_holds_several_models(run, config, lock, world, other):
    model = world.write_model()
    run(model)
    run(other)

    assert lock.read_text().count("[[models]]") == 2
    start(config, model)
    start(config, other)
    assert f"selected for {model}, {other}" in run("--check").out


def test_without_a_model_the_selections_that_still_hold_are_kept(run, lock, world):
    run(world.write_model())
    before = lock.read_text()

    run()

    assert lock.read_text() == before


def test_selections_of_a_plugin_that_is_gone_are_dropped_and_told(run, config, lock, world, other):
    run(world.write_model())
    config.write_text(config.read_text().replace("deny = [", 'deny = ["slow", '))

    done = run(other)

    assert f"dropped the selections for {world.folder}" in done.out
    assert "gone: slow@acme (jackfield_acme.kernels for layer 0)" in done.out
    assert lock.read_text().count("[[models]]") == 1


def test_an_engine_of_a_model_that_the_lock_does_not_know_is_refused(run, config, world, other):
    run(world.write_model())

    with pytest.raises(PluginDrift, match=f"Add this one.*jackfield plugins lock {other} "):
        start(config, other)


def test_a_check_of_a_model_that_the_lock_does_not_know_is_an_error(run, world, other):
    run(world.write_model())

    done = run(other, "--check")

    assert done.status == 2
    assert f"no selections for the model {other}" in done.err


def test_a_check_of_one_model_is_about_that_model(run, config, world, other):
    run(world.write_model())
    run(other)

    assert run(other, "--check").out.endswith(f"selected for {other}\n")


def test_a_lock_of_an_old_format_is_written_anew_and_told(run, lock, world):
    lock.write_text('format = 1\n[model]\nreference = "tiny"\n')

    assert run("--check").status == 2
    assert "models that it held must be named again" in run().out
    assert run("--check").status == 0


def test_a_setting_that_selects_something_else_is_refused(run, config, world):
    model = world.write_model()
    run(model)
    config.write_text(config.read_text() + '[select]\nkernel = "fast"\n')

    done = run("--check")

    assert "kernels for layer 0: slow@acme -> fast@acme" in done.err
    with pytest.raises(PluginDrift, match="slow@acme -> fast@acme"):
        start(config, model)


def test_a_lock_in_a_folder_that_does_not_exist_is_an_error(jackfield, tmp_path):
    done = jackfield("plugins", "lock", "--set", f"plugins.lock={tmp_path / 'no' / 'x.lock'}")

    assert done.status == 2
    assert "cannot write the lock" in done.err
