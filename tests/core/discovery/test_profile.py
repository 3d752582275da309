"""A profile stands in for the machine that it was saved on."""

import json
import sys

import pytest

from jackfield.discovery.kinds import PLATFORMS
from jackfield.discovery.profile import find_profile, read_profile, save_profile
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.rules import SelectRules
from jackfield.discovery.selection import select
from jackfield.errors import ConfigError, PluginLoadError
from jackfield.interfaces.platform import ChoicePoint

CARD = """
    from jackfield.interfaces.platform import Platform

    class Acme(Platform):
        def probe(self): return {"cores": 4}
        def choices(self, spec, config, facts): return ()
        def create_worker(self, context): ...

    class Absent(Acme):
        def probe(self): raise OSError("no such device")

    class Plain(Platform):
        def choices(self, spec, config, facts): return ()
        def create_worker(self, context): ...
"""
TARGETS = {"acme": "acme_card:Acme", "absent": "acme_card:Absent", "plain": "acme_card:Plain"}
KEY = "jackfield.platforms:acme@acme"


@pytest.fixture
def acme(distributions):
    distributions.add("acme", {"jackfield.platforms.v1": TARGETS}, modules={"acme_card": CARD})
    return distributions


@pytest.fixture
def write(tmp_path):
    def write(name="there", **changes):
        file = tmp_path / f"{name}.json"
        document = {"format": 1, "machine": {}, "facts": {KEY: {"cores": 64}}, **changes}
        file.write_text(json.dumps(document))
        return file

    return write


def facts(acme, profile, name):
    registry = PluginRegistry(acme.scan().all, probe=profile.probe)
    return registry.facts(registry.ref(PLATFORMS, name))


def test_the_facts_of_a_profile_are_taken_instead_of_a_probe(acme, write):
    assert facts(acme, read_profile(write()), "acme") == {"cores": 64}


def test_a_card_without_a_probe_of_its_own_needs_no_facts(acme, write):
    assert facts(acme, read_profile(write()), "plain") == {}


def test_a_plugin_that_the_profile_does_not_know_cannot_be_chosen(acme, write):
    with pytest.raises(PluginLoadError, match="profile there holds nothing that .* 'absent'"):
        facts(acme, read_profile(write()), "absent")


def test_a_probe_that_failed_there_fails_here_with_the_same_words(acme, write):
    failed = {"jackfield.platforms:absent@acme": "no such device"}

    with pytest.raises(PluginLoadError, match="of profile there: no such device"):
        facts(acme, read_profile(write(failed=failed)), "absent")


def test_a_candidate_that_the_profile_does_not_know_was_not_asked(acme, write):
    registry = PluginRegistry(acme.scan().all, probe=read_profile(write(facts={})).probe)
    point = ChoicePoint(kind=PLATFORMS, setting="platform", subject="engine", need=None)

    _, decision = select(registry, point, SelectRules({}, {}), thorough=True)

    found = {c.name: (str(c.verdict), *(r.code for r in c.reasons)) for c in decision.candidates}
    assert found["acme"] == ("not asked", "no_facts")


def test_a_plugin_that_is_only_in_the_profile_is_noted_with_how_to_install_it(acme, write):
    (note,) = read_profile(write()).notes(())

    assert note.code == "not_installed"
    assert "acme of acme (platforms) is in the profile but not installed here" in note.text
    assert note.remedy == "pip install acme"


@pytest.mark.parametrize(
    ("versions", "codes"), [({KEY: "0.9"}, ["version"]), ({KEY: "1.0"}, []), ({}, [])]
)
def test_facts_of_another_version_are_noted(acme, write, versions, codes):
    notes = read_profile(write(versions=versions)).notes(acme.scan().all)

    assert [note.code for note in notes] == codes


def test_a_saved_profile_says_what_was_found_and_what_failed(acme, tmp_path):
    file = tmp_path / "mine.json"
    save_profile(file, {"processor": "tiny"}, acme.scan())

    profile = read_profile(file)

    assert (profile.name, profile.machine) == ("mine", {"processor": "tiny"})
    assert profile.facts == {KEY: {"cores": 4}}
    assert "no such device" in profile.failed["jackfield.platforms:absent@acme"]
    assert profile.versions == {KEY: "1.0", "jackfield.platforms:absent@acme": "1.0"}


def test_a_profile_that_a_platforms_package_ships_is_found_without_importing_it(acme, write):
    folder = acme.add("ship", {"jackfield.platforms.v1": {"ship": "ship_package.card:Ship"}})
    package = folder / "ship_package"
    (package / "profiles").mkdir(parents=True)
    (package / "__init__.py").touch()
    write().rename(package / "profiles" / "big.json")

    profile = find_profile("big", acme.scan().refs(PLATFORMS))

    assert profile.facts == {KEY: {"cores": 64}}
    assert "ship_package" not in sys.modules


def test_a_file_is_named_by_its_path(acme, write):
    assert find_profile(str(write("far")), ()).name == "far"


def test_a_name_that_nobody_ships_is_an_error_with_those_that_are(acme):
    with pytest.raises(ConfigError, match=r"no profile 'h1000'.* a file that ends in \.json"):
        find_profile("h1000", acme.scan().refs(PLATFORMS))


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "machine": {}}'])
def test_a_broken_profile_is_an_error_with_the_way_out(tmp_path, text):
    file = tmp_path / "broken.json"
    file.write_text(text)

    with pytest.raises(ConfigError, match=r"cannot read the profile .*--save-profile"):
        read_profile(file)


def test_a_profile_that_cannot_be_written_is_an_error(acme, tmp_path):
    with pytest.raises(ConfigError, match="cannot write the profile"):
        save_profile(tmp_path / "no" / "x.json", {}, acme.scan())


@pytest.mark.parametrize("name", ["h100", "cpu-avx512", "cpu-avx2"])
def test_the_shipped_profiles_hold_all_that_our_own_platforms_probe(name):
    here = PluginRegistry.scan()
    profile = find_profile(name, here.refs(PLATFORMS))
    there = PluginRegistry.scan(probe=profile.probe)

    for ref in (ref for ref in here.refs(PLATFORMS) if ref.distribution == "jackfield-cpu"):
        assert there.facts(ref).keys() == here.facts(ref).keys()
