"""`jackfield new KIND NAME` writes a package and says what to do with it."""

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_package_is_written_into_a_folder_of_its_name(jackfield, here):
    done = jackfield("new", "scheduler", "acme-fair")

    assert done.status == 0, done.err
    assert (here / "jackfield-acme-fair" / "jackfield_acme_fair" / "policy.py").is_file()
    assert "pip install -e '.[test]'" in done.out


def test_the_folder_may_be_named(jackfield, here):
    jackfield("new", "hooks", "acme", "--folder", "elsewhere")

    assert (here / "elsewhere" / "pyproject.toml").is_file()


def test_a_kind_that_does_not_exist_is_refused_with_those_that_do(jackfield):
    done = jackfield("new", "sheduler", "acme")

    assert done.status == 2
    assert "attention-backend" in done.err


@pytest.mark.parametrize(("kind", "name"), [("scheduler", "fcfs"), ("model", "LlamaForCausalLM")])
def test_a_name_that_somebody_owns_is_refused(jackfield, here, kind, name):
    done = jackfield("new", kind, name)

    assert done.status == 2
    assert f"owns the name '{name}'" in done.err
    assert not list(here.glob("jackfield-*"))


@pytest.mark.parametrize(
    ("kind", "name", "owner"),
    [
        ("hooks", "acme", "jackfield-acme 2.0 is installed"),
        ("hooks", "cpu", "jackfield-cpu "),
        ("scheduler", "torch", "jackfield-torch "),
        ("hooks", "taken", "has a package jackfield_taken"),
    ],
)
def test_a_name_whose_distribution_or_package_is_somebodys_is_refused(
    jackfield, here, distributions, kind, name, owner
):
    distributions.add("jackfield-acme", {}, version="2.0")
    distributions.add("others", {}, modules={"jackfield_taken": ""})

    done = jackfield("new", kind, name)

    assert done.status == 2
    assert owner in done.err
    assert "Choose another name" in done.err
    assert not list(here.glob("jackfield-*"))


def test_a_member_that_is_not_installed_is_refused(jackfield, here, monkeypatch):
    monkeypatch.setattr("jackfield.discovery.scan.installed_version", lambda name: None)

    done = jackfield("new", "hooks", "gguf")

    assert "jackfield-gguf belongs to Jackfield" in done.err
