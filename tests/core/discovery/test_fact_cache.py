"""What trying a plugin came to is kept until something changes that it depends on."""

import dataclasses
import json

import pytest

from jackfield.activation import PluginRef
from jackfield.discovery import fact_cache
from jackfield.discovery.fact_cache import FactCache

REF = PluginRef(
    kind="jackfield.platforms", major=1, name="acme", distribution="acme", version="1", target="a:A"
)
FOUND = {"facts": {"device": "acme", "cores": 4, "share": 0.5, "driver": None}}


def fault(cause):
    return {"fault": {"cause": cause, "text": "it did", "trace": "", "fix": ""}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fact_cache, "_DRIVERS", (str(tmp_path / "driver"),))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def kept():
    FactCache().keep(REF, "probe", FOUND)


def recalled(ref=REF):
    return FactCache().recall(ref, "probe")


def test_facts_come_back_as_they_were(kept):
    assert recalled() == FOUND


def test_an_import_is_not_a_probe(kept):
    assert FactCache().recall(REF, "import") is None


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


def test_a_crash_is_kept_for_an_hour(monkeypatch):
    FactCache().keep(REF, "probe", fault("crashed"))
    assert recalled() == fault("crashed")

    monkeypatch.setattr(fact_cache, "_FAULT_LIFE_S", -1.0)

    assert recalled() is None


def test_an_exception_is_not_kept():
    FactCache().keep(REF, "probe", fault("raised"))

    assert recalled() is None


def test_a_changed_source_of_an_editable_install_is_tried_again(distributions, monkeypatch):
    folder = distributions.add("acme", {}, modules={"a": "class A: ..."})
    (info,) = folder.glob("*.dist-info")
    (info / "direct_url.json").write_text(json.dumps({"dir_info": {"editable": True}}))
    fact_cache._state_of_sources.cache_clear()
    FactCache().keep(REF, "probe", FOUND)
    assert recalled() == FOUND

    (folder / "a.py").write_text("class A: later = True")
    fact_cache._state_of_sources.cache_clear()  # as in the next process

    assert recalled() is None


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch, folder):
    (folder / "file").write_text("")
    monkeypatch.setenv("JACKFIELD_CACHE", str(folder / "file"))

    FactCache().keep(REF, "probe", FOUND)

    assert recalled() is None
