"""Every member is a real distribution, listed wherever the workspace lists its members."""

import re
import tomllib

import pytest

README_SECTIONS = ["Install", "Example", "Limits", "Sources"]


def editable_folders(file):
    """Return the folders that a requirements file installs, those of the files it includes too."""
    folders = set()
    for line in file.read_text().splitlines():
        if line.startswith("-e ./"):
            folders.add(line.removeprefix("-e ./"))
        elif line.startswith("-r "):
            folders |= editable_folders(file.parent / line.removeprefix("-r "))
    return folders


def test_the_development_requirements_list_every_member(root, members):
    listed = editable_folders(root / "requirements" / "dev.txt")

    assert listed == {str(member.folder.relative_to(root)) for member in members}


def test_every_member_with_plugins_is_named_by_an_extra_of_the_core(root, members):
    """Extras say what is first-party, and so is let in whatever [plugins] allow."""
    core = tomllib.loads((root / "core" / "pyproject.toml").read_text())["project"]
    extras = [line for extra in core["optional-dependencies"].values() for line in extra]
    named = {re.match(r"[\w-]+", line)[0] for line in extras}

    plugging = {m.project["name"] for m in members if m.project.get("entry-points")}

    assert plugging - {"jackfield"} <= named


@pytest.mark.parametrize(
    ("table", "key"), [("mypy", "mypy_path"), ("coverage", "run.source_pkgs")], ids=str
)
def test_the_checks_cover_every_member(root, members, table, key):
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"][table]
    for part in key.split("."):
        listed = listed[part]

    by_others = {project.parent for project in root.glob("examples/third_party/*/pyproject.toml")}
    folders = {str(f.relative_to(root)) for f in {m.folder for m in members} | by_others}
    assert set(listed) in (folders, {member.package for member in members})


def test_the_import_contracts_cover_every_member(setup_cfg, members):
    assert set(setup_cfg["importlinter"]["root_packages"].split()) == {m.package for m in members}


@pytest.mark.parametrize("extra", ["cpu"])
def test_an_extra_of_the_core_names_members(members, extra):
    core = next(member for member in members if member.name == "jackfield")
    names = {re.match(r"[\w-]+", line)[0] for line in core.project["optional-dependencies"][extra]}

    assert names <= {member.name for member in members}


def test_a_member_has_what_a_distribution_needs(member):
    package = member.folder / member.package

    assert (member.folder / "pyproject.toml").is_file()
    assert (package / "__init__.py").is_file()
    assert (package / "py.typed").is_file()


def test_a_members_folder_is_the_end_of_its_name(member, root):
    words = member.folder.name.replace("_", "-")
    expected = "jackfield" if member.folder == root / "core" else f"jackfield-{words}"

    assert member.name == expected


def test_a_members_readme_tells_what_a_user_asks(member):
    lines = (member.folder / "README.md").read_text().splitlines()

    assert lines[0] == f"# {member.name}"
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == README_SECTIONS


def test_a_member_states_the_version_of_the_workspace(member, setup_cfg):
    assert member.project["version"] == setup_cfg["jackfield"]["version"]


def test_a_member_requires_its_siblings_as_a_range(member, setup_cfg):
    major, minor, _ = setup_cfg["jackfield"]["version"].split(".")
    expected = f">={major}.{minor},<{major}.{int(minor) + 1}"

    siblings = [line for line in member.requirements if line.startswith("jackfield")]

    assert {re.sub(r"^[\w-]+", "", line) for line in siblings} <= {expected}
    assert siblings or member.name == "jackfield"


def test_no_test_folder_is_a_package(root):
    assert not list((root / "tests").rglob("__init__.py"))
