"""A lock says what an engine is made of, and refuses anything else with the difference."""

from dataclasses import replace
from pathlib import Path

import pytest

from jackfield.activation import ActivationPlan, PluginRef, Selection
from jackfield.config import ModelSettings
from jackfield.discovery.lock import LockedModel, locked_model, lost_selections, make_lock
from jackfield.errors import PluginDrift
from jackfield.interfaces.model_source import ModelFiles

REF = PluginRef(
    kind="jackfield.models",
    major=1,
    name="Tiny",
    distribution="acme",
    version="1.0",
    target="acme.model:tiny",
)
OTHER = replace(REF, name="Large", distribution="other")


def plan(ref):
    return ActivationPlan(selections=(Selection(subject="model", plugin=ref),))


LOCK = Path("conf/the.lock")


def model(ref=REF, reference="org/tiny", **settings):
    """The selections of a plan for a model that is found by its name."""
    files = ModelFiles(reference=reference, path=Path("/cache/tiny"))
    named = ModelSettings(reference=reference, **settings)
    return locked_model(named, files, plan(ref), LOCK.parent)


def local(path, reference, folder):
    """What a lock in `folder` calls a model that stands at `path`."""
    files = ModelFiles(reference=str(reference), path=path)
    return locked_model(ModelSettings(reference=str(reference)), files, plan(REF), folder).reference


def drift(lock, *refs):
    with pytest.raises(PluginDrift) as caught:
        lock.check_plugins(refs, LOCK)
    return str(caught.value)


def test_what_was_locked_is_accepted():
    make_lock([REF, OTHER]).check_plugins([OTHER, REF], LOCK)


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (replace(REF, version="1.1"), "~ acme: version 1.0 -> 1.1"),
        (
            replace(REF, target="acme.evil:tiny"),
            "~ acme: jackfield.models.v1:Tiny: acme.model:tiny -> acme.evil:tiny",
        ),
        (replace(REF, name="New"), "~ acme: jackfield.models.v1:New: nothing -> acme.model:tiny"),
        (replace(REF, name="New"), "~ acme: jackfield.models.v1:Tiny: acme.model:tiny -> nothing"),
        (replace(REF, major=2), "~ acme: jackfield.models.v2:Tiny: nothing -> acme.model:tiny"),
    ],
)
def test_a_change_is_refused_and_told(now, line):
    assert line in drift(make_lock([REF, OTHER]), now, OTHER)


def test_only_what_changed_is_told():
    message = drift(make_lock([REF, OTHER]), replace(REF, version="1.1"), OTHER)

    assert [line for line in message.splitlines() if "~" in line] == [
        "  ~ acme: version 1.0 -> 1.1"
    ]


def test_a_distribution_that_came_or_went_is_refused_and_told():
    assert "+ other 1.0: not locked" in drift(make_lock([REF]), REF, OTHER)
    assert "- other 1.0: not installed" in drift(make_lock([REF, OTHER]), REF)


def test_another_selection_for_a_locked_model_is_refused_with_the_command_that_accepts_it():
    lock = make_lock([REF, OTHER], [model(REF)])

    lock.check_model(model(REF), LOCK)
    with pytest.raises(PluginDrift) as caught:
        lock.check_model(model(OTHER), LOCK)
    assert "org/tiny: jackfield.models for model: Tiny@acme -> Large@other" in str(caught.value)
    assert f"`jackfield plugins lock org/tiny --set plugins.lock={LOCK}`" in str(caught.value)


def test_a_model_that_the_lock_does_not_know_is_refused_with_the_command_that_adds_it():
    lock = make_lock([REF], [model(reference="org/tiny"), model(reference="org/small")])

    with pytest.raises(PluginDrift) as caught:
        lock.check_model(model(reference="org/large"), LOCK)

    assert "no selections for the model org/large" in str(caught.value)
    assert "holds: org/small, org/tiny." in str(caught.value)
    assert "jackfield plugins lock org/large --set" in str(caught.value)


def test_a_lock_without_selections_is_about_distributions_only():
    lock = make_lock([REF])

    lock.check_model(model(), LOCK)
    with pytest.raises(PluginDrift, match="Models that it holds: none"):
        lock.check_model(model(), LOCK, must_know=True)


def test_a_revision_is_another_model():
    lock = make_lock([REF], [model(revision="a")])

    with pytest.raises(PluginDrift, match=r"model org/tiny at b\. .*--set model\.revision=b"):
        lock.check_model(model(revision="b"), LOCK)


def test_a_path_is_one_however_it_is_written(tmp_path, monkeypatch):
    path = tmp_path / "m" / "tiny"
    path.mkdir(parents=True)
    (tmp_path / "link").symlink_to(path)
    monkeypatch.chdir(tmp_path)

    written = ["m/tiny", "./m/tiny", "m/../m/tiny/", path, "link"]

    assert {local(Path(text), text, tmp_path) for text in written} == {"./m/tiny"}


def test_a_path_outside_of_the_locks_folder_is_held_as_a_whole(tmp_path):
    path = tmp_path / "m"

    assert local(path, path, tmp_path / "conf") == str(path)


def test_a_path_below_the_lock_is_found_from_everywhere(tmp_path):
    found = LockedModel(reference="./m/tiny", selections={})

    assert found.reference_from(tmp_path) == str(tmp_path / "m" / "tiny")


def test_selections_whose_plugin_is_gone_are_lost():
    assert lost_selections(model(REF), [REF, OTHER]) == []
    assert lost_selections(model(REF), [OTHER]) == ["Tiny@acme (jackfield.models for model)"]


def test_each_file_of_a_local_plugin_is_locked_by_its_content():
    one_file = replace(
        REF, distribution="local", version="aaa"
    )  # the version is the content's hash
    lock = make_lock([one_file])

    assert [entry.name for entry in lock.distributions] == ["local:acme.model"]
    assert "~ local:acme.model: version aaa -> bbb" in drift(lock, replace(one_file, version="bbb"))
