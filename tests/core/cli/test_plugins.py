"""`jackfield plugins` lists everything with its status, and checks it."""

import json
import sys

import pytest

from jackfield.cli.plugins import check_all

pytestmark = pytest.mark.usefixtures("probe_inline")

MODEL = {"acme_model": "def build(config): ..."}


def statuses(done, distribution):
    rows = json.loads(done.out)["plugins"]
    return {row["name"]: row["status"] for row in rows if row["distribution"] == distribution}


def test_the_list_shows_kind_name_distribution_version_and_status(jackfield, distributions):
    distributions.add(
        "acme", {"jackfield.models.v1": {"Tiny": "acme_model:build"}}, version="4.2", modules=MODEL
    )

    done = jackfield("plugins")

    assert done.status == 0
    assert ["jackfield.models.v1", "Tiny", "acme", "4.2", "ok"] in [
        line.split() for line in done.out.splitlines()
    ]
    assert "acme_model" not in sys.modules


def test_every_status_is_told_apart(jackfield, distributions):
    distributions.add(
        "acme",
        {
            "jackfield.models.v1": {"Fine": "acme_model:build", "Twice": "acme_model:build"},
            "jackfield.models.v2": {"Next": "acme_model:build"},
            "jackfield_nobody.things.v1": {"Thing": "acme_model:build"},
        },
        modules=MODEL,
    )
    distributions.add(
        "other", {"jackfield.models.v1": {"Twice": "acme_model:build", "Hidden": "m:f"}}
    )

    done = jackfield("plugins", "--json", "--set", "plugins.deny=Hidden")

    assert statuses(done, "acme") == {
        "Fine": "ok",
        "Twice": "conflict",
        "Next": "incompatible",
        "Thing": "kind",
    }
    assert statuses(done, "other") == {"Twice": "conflict", "Hidden": "left out"}


def test_a_list_has_problems_with_their_way_out(jackfield, distributions):
    distributions.add("acme", {"jackfield.models.v2": {"Next": "acme_model:build"}})

    (problem,) = (
        p
        for p in json.loads(jackfield("plugins", "--json").out)["problems"]
        if p["distribution"] == "acme"
    )

    assert problem["code"] == "incompatible"
    assert "Upgrade jackfield" in problem["fix"]


def test_a_check_loads_everything_and_fails_where_something_does_not(jackfield, distributions):
    distributions.add(
        "acme",
        {"jackfield.models.v1": {"Fine": "acme_model:build", "Broken": "acme_model:gone"}},
        modules=MODEL,
    )

    done = jackfield("plugins", "check", "--json")

    assert done.status == 1
    assert statuses(done, "acme") == {"Fine": "ok", "Broken": "load"}
    assert "has no attribute 'gone'" in done.out


def test_a_check_probes_but_a_device_that_is_not_there_is_no_fault(distributions):
    source = """
        from jackfield.interfaces.tokenizer import TokenizerFormat
        class Gone(TokenizerFormat):
            def probe(self): raise OSError("no such device")
            def open(self, files): ...
    """
    distributions.add(
        "acme",
        {"jackfield.tokenizers.v1": {"gone": "gone_card:Gone"}},
        modules={"gone_card": source},
    )
    registry = distributions.scan()

    check_all(registry)

    assert [(problem.code, problem.error) for problem in registry.problems] == [
        ("probe", "OSError: no such device")
    ]
    assert not any(problem.is_fault for problem in registry.problems)


def test_a_required_plugin_of_another_major_is_told_by_a_check(jackfield, distributions):
    distributions.add("acme", {"jackfield.models.v9": {"Next": "acme_model:build"}})

    done = jackfield("plugins", "check", "--json", "--set", "plugins.required=acme")

    assert done.status == 1
    codes = {p["code"]: p["error"] for p in json.loads(done.out)["problems"]}
    assert "speaks jackfield.models v9" in codes["required"]


def test_a_denied_word_that_means_nothing_is_listed_and_no_fault(jackfield):
    done = jackfield("plugins", "--set", "plugins.deny=nobody")

    assert "plugins.deny nobody: nothing of that name is installed" in done.out


def test_a_drift_from_the_lock_is_listed_and_a_fault(jackfield, distributions, tmp_path):
    lock = f"plugins.lock={tmp_path / 'x.lock'}"
    jackfield("plugins", "lock", "--set", lock)
    distributions.add("acme", {"jackfield.models.v1": {"Tiny": "acme_model:build"}}, modules=MODEL)

    listed, checked = (jackfield("plugins", *word, "--set", lock) for word in ([], ["check"]))

    assert "+ acme 1.0: not locked" in listed.out
    assert (listed.status, checked.status) == (0, 1)


@pytest.mark.parametrize("words", [("--check",), ("check", "--check"), ("list", "a-model")])
def test_what_belongs_to_the_lock_is_refused_elsewhere(jackfield, words):
    done = jackfield("plugins", *words)

    assert done.status == 2
    assert "belongs to `jackfield plugins lock`" in done.err
    assert "jackfield plugins check" in done.err
