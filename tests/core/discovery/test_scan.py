"""What is installed is found without importing it, and a broken distribution hides no other."""

import sys

import pytest

from jackfield.discovery.scan import CORE, installed_version, normalise, scan_installed

PLATFORMS = "jackfield.platforms.v1"


def found(name):
    return [ref for ref in scan_installed().plugins if ref.distribution == name]


def test_an_entry_point_becomes_a_reference(distributions):
    distributions.add("Acme_Chips", {PLATFORMS: {"acme": "acme_card:Acme"}}, version="2.3")

    (ref,) = found("acme-chips")

    assert (ref.kind, ref.major, ref.name) == ("jackfield.platforms", 1, "acme")
    assert (ref.version, ref.target) == ("2.3", "acme_card:Acme")


def test_nothing_is_imported_to_list_it(distributions):
    source = "raise SystemExit('imported')"
    distributions.add("acme", {PLATFORMS: {"acme": "acme_card:A"}}, modules={"acme_card": source})

    assert found("acme")
    assert "acme_card" not in sys.modules


def test_a_distribution_that_stands_twice_on_the_path_counts_once_and_the_first_wins(distributions):
    distributions.add("acme", {PLATFORMS: {"acme": "old:A", "gone": "old:B"}}, version="1.0")
    distributions.add("ACME", {PLATFORMS: {"acme": "new:A"}}, version="2.0")

    assert [(ref.version, ref.target) for ref in found("acme")] == [("2.0", "new:A")]


def test_an_editable_install_that_shows_its_source_too_counts_once(
    distributions, tmp_path, monkeypatch
):
    source = tmp_path / "source" / "acme.egg-info"  # setuptools leaves it there
    source.mkdir(parents=True)
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 0.9\n")
    (source / "entry_points.txt").write_text(f"[{PLATFORMS}]\nacme = acme_card:A\n")
    monkeypatch.syspath_prepend(str(source.parent))
    distributions.add("acme", {PLATFORMS: {"acme": "acme_card:A"}})

    assert [ref.version for ref in found("acme")] == ["1.0"]


def test_a_first_on_the_path_without_plugins_hides_an_older_one_with_them(distributions):
    distributions.add("acme", {PLATFORMS: {"acme": "old:A"}})
    distributions.add("acme", {"console_scripts": {"acme": "new:main"}}, version="2.0")

    assert found("acme") == []


def test_conformance_kits_are_no_plugins_and_no_failures(distributions):
    group = {"jackfield.conformance_kits": {"jackfield_acme.kernels": "acme_kit:KernelKit"}}
    distributions.add("acme", group)

    scan = scan_installed()

    (kit,) = (ref for ref in scan.kits if ref.distribution == "acme")
    assert (kit.name, kit.target) == ("jackfield_acme.kernels", "acme_kit:KernelKit")
    assert "acme" not in [entry.distribution for entry in (*scan.plugins, *scan.failures)]


def test_a_group_without_a_major_is_a_failure_that_names_it(distributions):
    distributions.add("acme", {"jackfield.platforms": {"acme": "acme:A"}})

    (failure,) = scan_installed().failures

    assert found("acme") == []
    assert "'jackfield.platforms' names no contract major" in str(failure)


def test_broken_metadata_hides_no_other_distribution(distributions):
    distributions.add("acme", {PLATFORMS: {"acme": "acme:A"}})
    distributions.add("broken", {PLATFORMS: {"broken": "broken:B"}}, metadata="nothing: here\n")

    assert len(found("acme")) == 1
    assert ["metadata cannot be read" in f.error for f in scan_installed().failures] == [True]


def test_a_broken_target_hides_no_other_distribution(distributions):
    distributions.add("acme", {PLATFORMS: {"acme": "acme:A"}})
    distributions.add("broken", {PLATFORMS: {"broken": "not a target"}})

    assert len(found("acme")) == 1
    assert [failure.distribution for failure in scan_installed().failures] == ["broken"]


def test_first_party_is_what_the_extras_of_the_core_name():
    first_party = scan_installed().first_party

    assert {CORE, "jackfield-cpu", "jackfield-llama"} <= first_party
    assert not {"pluggy", "rich"} & first_party


def test_names_are_compared_as_the_package_index_does():
    assert normalise("Jackfield_Flash.Attn") == "jackfield-flash-attn"


def test_a_version_is_read_from_metadata(distributions):
    distributions.add("acme", {}, version="7.1")

    assert (installed_version("acme"), installed_version("acme-none")) == ("7.1", None)


def faults(name):
    return [problem for problem in scan_installed().failures if problem.distribution == name]


@pytest.mark.parametrize("target", ["acme card-Acme", "acme_card", "acme_card:", ":Acme"])
def test_a_malformed_target_is_told_and_leaves_the_others(distributions, target):
    names = {"first": "acme_card:A", "bad": target, "last": "acme_card:B"}
    distributions.add("acme", {PLATFORMS: names})

    (problem,) = faults("acme")

    assert [ref.name for ref in found("acme")] == ["first", "last"]
    assert (problem.kind, problem.name) == (PLATFORMS, "bad")
    assert f"its target {target!r} is not of the form MODULE:ATTRIBUTE" in str(problem)


def test_an_entry_point_without_a_name_is_told(distributions):
    distributions.add("acme", {PLATFORMS: {"": "acme_card:A"}})

    assert found("acme") == []
    assert "it has no name" in str(faults("acme")[0])


def test_a_name_that_one_distribution_has_twice_is_told_and_the_first_is_used(distributions):
    distributions.add("acme", {PLATFORMS: {"acme": "old:A", "acme ": "new:A"}})

    (problem,) = faults("acme")

    assert [ref.target for ref in found("acme")] == ["old:A"]
    assert "names 'acme' of jackfield.platforms.v1 twice: old:A is used, new:A is not" in str(
        problem
    )
