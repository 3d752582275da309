"""A lock says what an engine is made of, and refuses anything else with the difference."""

from dataclasses import replace

import pytest

from jackfield.activation import ActivationPlan, PluginRef, Selection
from jackfield.discovery.lock import make_lock, read_lock, to_toml
from jackfield.errors import ConfigError, PluginDrift

REF = PluginRef(
    kind="jackfield.models",
    major=1,
    name="Tiny",
    distribution="acme",
    version="1.0",
    target="acme.model:tiny",
    content_sha256="a" * 64,
)
OTHER = replace(REF, name="Large", distribution="other", content_sha256="b" * 64)


def plan(ref):
    return ActivationPlan(selections=(Selection(subject="model", plugin=ref),))


@pytest.fixture
def written(tmp_path):
    """Write the lock of some plugins and read it again."""

    def written(*refs, **more):
        file = tmp_path / "jackfield.lock"
        file.write_text(to_toml(make_lock(refs, **more)))
        return read_lock(file)

    return written


def drift(lock, *refs):
    with pytest.raises(PluginDrift) as caught:
        lock.check_plugins(refs, "the.lock")
    return str(caught.value)


def test_a_lock_is_read_as_it_was_written(written):
    lock = written(REF, OTHER, model='an "odd"\\name', plan=plan(REF))

    assert lock == make_lock([OTHER, REF], 'an "odd"\\name', plan(REF))


def test_what_was_locked_is_accepted(written):
    written(REF, OTHER).check_plugins([OTHER, REF], "the.lock")


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (replace(REF, version="1.1"), "~ acme: version 1.0 -> 1.1"),
        (replace(REF, content_sha256="a" * 63 + "c"), "~ acme: content aaaaaaaaaaaa -> "),
        (
            replace(REF, target="acme.evil:tiny"),
            "~ acme: jackfield.models.v1:Tiny: acme.model:tiny -> acme.evil:tiny",
        ),
        (replace(REF, name="New"), "~ acme: jackfield.models.v1:New: nothing -> acme.model:tiny"),
        (replace(REF, name="New"), "~ acme: jackfield.models.v1:Tiny: acme.model:tiny -> nothing"),
        (replace(REF, major=2), "~ acme: jackfield.models.v2:Tiny: nothing -> acme.model:tiny"),
    ],
)
def test_a_change_is_refused_and_told(written, now, line):
    assert line in drift(written(REF, OTHER), now, OTHER)


def test_only_what_changed_is_told(written):
    message = drift(written(REF, OTHER), replace(REF, version="1.1"), OTHER)

    assert [line for line in message.splitlines() if "~" in line] == [
        "  ~ acme: version 1.0 -> 1.1"
    ]


def test_a_distribution_that_came_or_went_is_refused_and_told(written):
    assert "+ other 1.0: not locked" in drift(written(REF), REF, OTHER)
    assert "- other 1.0: not installed" in drift(written(REF, OTHER), REF)


def test_another_selection_for_the_locked_model_is_refused(written):
    lock = written(REF, OTHER, model="tiny", plan=plan(REF))

    lock.check_selections("tiny", plan(REF), "the.lock")
    with pytest.raises(PluginDrift, match="models for model: Tiny@acme -> Large@other"):
        lock.check_selections("tiny", plan(OTHER), "the.lock")


def test_another_model_may_select_what_it_needs(written):
    lock = written(REF, OTHER, model="tiny", plan=plan(REF))

    lock.check_selections("large", plan(OTHER), "the.lock")


def test_each_file_of_a_local_plugin_is_locked_by_its_content(written):
    local = replace(REF, distribution="local", version="aaa")
    lock = written(local)

    assert [entry.name for entry in lock.distributions] == ["local:acme.model"]
    assert "~ local:acme.model: content" in drift(lock, replace(local, content_sha256="c" * 64))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ("format = ", "TOMLDecodeError"),
        ("format = 2", "this jackfield reads 1"),
        ("format = 1\n[distributions.acme]", "'version'"),
        ("format = 1\ndistributions = 3", "AttributeError"),
    ],
)
def test_a_lock_that_cannot_be_read_is_an_error_with_the_way_out(tmp_path, text, reason):
    file = tmp_path / "jackfield.lock"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigError, match=r"plugins\.lock.*`jackfield plugins lock`") as caught:
        read_lock(file)
    assert reason in str(caught.value)
