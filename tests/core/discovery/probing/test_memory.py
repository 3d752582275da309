"""What trials found is remembered until something changes that it depends on."""

import dataclasses
import importlib
import os

import pytest

from jackfield.activation import PluginRef
from jackfield.discovery.probing import memory
from jackfield.discovery.probing.memory import TrialMemory
from jackfield.discovery.probing.outcome import FINE, LOST, RAISED, Outcome
from jackfield.interfaces.card import Watch

REF = PluginRef(
    kind="jackfield.platforms", major=1, name="acme", distribution="acme", version="1", target="a:A"
)
FOUND = Outcome(code=FINE, facts={"device": "acme", "cores": 4, "share": 0.5, "driver": None})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(memory, "_DRIVERS", (str(tmp_path / "driver"),))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def kept():
    TrialMemory().keep(REF, FOUND, probe=True)


def recalled(ref=REF):
    return TrialMemory().recall(ref, probe=True)


def test_facts_come_back_as_they_were(kept):
    assert recalled() == FOUND


def test_an_import_is_not_a_probe(kept):
    assert TrialMemory().recall(REF, probe=False) is None


def test_another_version_of_the_plugin_is_tried_again(kept):
    assert recalled(dataclasses.replace(REF, version="2")) is None


def test_another_driver_means_all_is_tried_again(kept, folder):
    (folder / "driver").write_text("NVRM version: 570.1")

    assert recalled() is None


def test_another_choice_of_devices_means_all_is_tried_again(kept, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")

    assert recalled() is None


def test_an_installation_means_all_is_tried_again(kept, folder):
    (folder / "newcomer-1.0.dist-info").mkdir()

    assert recalled() is None


def test_the_state_before_is_still_remembered_when_it_returns(kept, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert recalled() is None

    assert recalled() == FOUND


def test_a_crash_is_remembered_for_an_hour(monkeypatch):
    crash = Outcome(code=LOST, text="it crashed")
    TrialMemory().keep(REF, crash, probe=True)
    assert recalled() == crash

    now = memory.time.time()
    monkeypatch.setattr(memory.time, "time", lambda: now + 3601)

    assert recalled() is None


def test_what_only_raised_is_not_remembered():
    TrialMemory().keep(REF, Outcome(code=RAISED, text="no"), probe=True)

    assert recalled() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99, "entries": {}}'])
def test_a_broken_file_is_ignored_and_written_anew(kept, folder, content):
    (file,) = (folder / "cache" / "trials").glob("*.json")
    file.write_text(content)
    assert recalled() is None

    TrialMemory().keep(REF, FOUND, probe=True)

    assert recalled() == FOUND


def test_a_folder_that_cannot_be_written_is_no_error(folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("JACKFIELD_CACHE", str(folder / "file"))

    TrialMemory().keep(REF, FOUND, probe=True)

    assert recalled() is None


def test_only_the_newest_states_are_kept(folder, monkeypatch):
    for number in range(20):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", str(number))
        TrialMemory().keep(REF, FOUND, probe=True)

    assert len(list((folder / "cache" / "trials").iterdir())) == 16


@pytest.mark.parametrize(
    "name",
    ["ASCEND_RT_VISIBLE_DEVICES", "HL_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR", "JAX_PLATFORMS"],
)
def test_a_variable_of_any_known_vendor_means_all_is_tried_again(kept, monkeypatch, name):
    monkeypatch.setenv(name, "1")

    assert recalled() is None


WATCHFUL = dataclasses.replace(FOUND, watch=Watch(variables=("ACME_*",)))


def test_a_variable_that_the_card_watches_means_it_is_tried_again(monkeypatch):
    TrialMemory().keep(REF, WATCHFUL, probe=True)
    assert recalled() == WATCHFUL

    monkeypatch.setenv("ACME_DEVICES", "1")

    assert recalled() is None


def test_a_variable_that_nobody_watches_is_nothing(kept, monkeypatch):
    monkeypatch.setenv("ACME_DEVICES", "1")

    assert recalled() == FOUND


@pytest.fixture
def watched_file(folder):
    """A file of a driver that the card watches; another one comes with it."""
    file = folder / "acme0"
    file.write_text("driver 1")
    outcome = dataclasses.replace(FOUND, watch=Watch(files=(f"{folder}/acme*",)))
    TrialMemory().keep(REF, outcome, probe=True)
    assert recalled() == outcome
    return file


def test_another_content_of_a_file_that_the_card_watches_means_it_is_tried_again(watched_file):
    times = watched_file.stat()
    watched_file.write_text("driver 2")
    os.utime(watched_file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as those below /sys

    assert recalled() is None


def test_a_new_file_among_those_that_the_card_watches_means_it_is_tried_again(watched_file):
    watched_file.with_name("acme1").touch()

    assert recalled() is None


@pytest.fixture
def edited(folder, monkeypatch):
    """Installs a plugin as a link to a working folder, and gives the state of its sources before and after an edit."""
    monkeypatch.setattr(memory, "is_editable", lambda name: True)

    def edited(module, *files):
        ref = dataclasses.replace(REF, target=f"{module}:A")
        states = []
        for time_s in (1, 2):
            memory._state_of_sources.cache_clear()
            for file in files:
                (folder / file).parent.mkdir(exist_ok=True)
                (folder / file).touch()
                os.utime(folder / file, (time_s, time_s))
            importlib.invalidate_caches()
            states.append(memory._state_of_sources(ref))
        return states

    yield edited
    memory._state_of_sources.cache_clear()


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("acme_lone", ["acme_lone.py"]),
        ("acme_package.card", ["acme_package/__init__.py", "acme_package/card.py"]),
        ("acme_native.card", ["acme_native/_kernel.so"]),
    ],
)
def test_an_edit_in_a_working_folder_means_it_is_tried_again(edited, module, files):
    before, after = edited(module, *files)

    assert before != after
