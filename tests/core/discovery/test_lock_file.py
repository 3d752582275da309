"""The file of a lock comes back as it was written, and says what is wrong with it."""

import pytest

from jackfield.activation import PluginRef
from jackfield.discovery.lock import LockedModel, make_lock
from jackfield.discovery.lock_file import lock_failures, read_lock, to_toml
from jackfield.errors import ConfigError

REF = PluginRef(
    kind="jackfield.models",
    major=1,
    name="Tiny",
    distribution="acme",
    version="1.0",
    target="acme.model:tiny",
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "jackfield.lock"


def test_a_lock_is_read_as_it_was_written(file):
    odd = LockedModel(reference='an "odd"\\name', revision="a", selections={"b for c": "d@e"})
    plain = LockedModel(reference="./plain", selections={})
    lock = make_lock([REF], [odd, plain])

    file.write_text(to_toml(lock))

    assert read_lock(file) == lock


def test_what_keeps_engines_from_starting_is_a_problem(file):
    file.write_text(to_toml(make_lock([REF])))

    (problem,) = lock_failures(str(file), [])

    assert lock_failures(str(file), [REF]) == ()
    assert (problem.code, problem.is_fault) == ("lock", True)
    assert "- acme 1.0: not installed" in str(problem)


def test_a_lock_that_is_not_there_is_a_problem(file):
    (problem,) = lock_failures(str(file), [])

    assert "cannot read the lock" in str(problem)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ("format = ", "TOMLDecodeError"),
        ("format = 1", "this jackfield reads 2"),
        ("format = 2\n[distributions.acme]", "'version'"),
        ("format = 2\ndistributions = 3", "AttributeError"),
        ("format = 2\n[[models]]", "'reference'"),
    ],
)
def test_a_lock_that_cannot_be_read_is_an_error_with_the_way_out(tmp_path, text, reason):
    file = tmp_path / "jackfield.lock"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigError, match=r"plugins\.lock.*`jackfield plugins lock`") as caught:
        read_lock(file)
    assert reason in str(caught.value)
