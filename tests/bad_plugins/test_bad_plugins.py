"""Whatever a plugin does: one clear report, and an engine that does not need it runs."""

import re
import sys
import time

import pytest

from jackfield.errors import JackfieldError, PluginLoadError
from jackfield.sampling import SamplingParams

AT_IMPORT = {
    "raises": r"RuntimeError: no luck today",
    "exits": r"SystemExit: 3",
    "vanishes": r"it ended the process with status 7 when it was imported",
    "lacks": r"No module named 'acme_runtime_that_nobody_has'.*pip install acme_runtime_that_nobody_has",
    "hangs": r"it took longer than 3 s \(plugins\.probe_timeout_s\) when it was imported",
    "takes": r"it took torch\.cuda when it was imported; a card leaves devices alone",
    "patches": r"it replaced jackfield\.scheduler\.scheduler\.Scheduler\.schedule",
    "baseless": r"Bad must extend jackfield\.interfaces\.platform\.Platform",
    "misshapen": r"Bad\.check\(self\) cannot be called as its contract does: check\(self, need",
}
IN_PROBE = {
    "segfaults": r"it crashed with SIGSEGV when it was probed.*bad_segfaults\.py",
    "aborts": r"it crashed with SIGABRT when it was probed.*bad_aborts\.py",
    "mumbles": r"probe\(\) must return names with text, numbers.*'device': <object",
}
LATER = {
    "shrugs": r"check\(\) must return a tuple of Reason.*'fine'",
    "invents": r"cache\.blok_size.*default of platform invents|default of platform invents.*blok_size",
    "meddles": r"bad-meddles 1\.2\.3.*changed the settings of the engine",
}
WHO = r"bad-{0} 1\.2\.3"
WAY_OUT = r'plugins\.deny = \["{0}@bad-{0}"\]'


@pytest.mark.parametrize("name", [*AT_IMPORT, *IN_PROBE, *LATER])
def test_an_engine_that_does_not_need_it_runs(install, name):
    with install(name).engine() as llm:
        (output,) = llm.generate([[1, 2, 3]], SamplingParams(max_tokens=4, ignore_eos=True))

    assert len(output.outputs[0].token_ids) == 4


@pytest.mark.parametrize(("name", "words"), [*AT_IMPORT.items(), *IN_PROBE.items(), *LATER.items()])
def test_an_engine_that_names_it_fails_with_one_clear_report(install, name, words):
    with pytest.raises(JackfieldError) as caught:
        install(name).named_engine()

    assert re.search(words, str(caught.value), re.DOTALL)


@pytest.mark.parametrize("name", [*AT_IMPORT, *IN_PROBE])
def test_the_report_names_its_distribution_and_the_way_out(install, name):
    bad = install(name)
    registry = bad.registry
    ref = registry.ref("platforms", name)

    with pytest.raises(PluginLoadError) as caught:
        registry.facts(ref)

    assert re.search(WHO.format(name), str(caught.value))
    assert re.search(WAY_OUT.format(name), str(caught.value))
    (problem,) = (p for p in registry.problems if p.name == name)
    assert (problem.distribution, problem.version) == (f"bad-{name}", "1.2.3")
    registry.end_trials()


@pytest.mark.parametrize("name", ["patches", "takes", "vanishes", "hangs"])
def test_what_would_hurt_never_comes_into_this_process(install, name):
    bad = install(name)

    with pytest.raises(JackfieldError):
        bad.named_engine()

    assert f"bad_{name}" not in sys.modules


def test_a_hang_is_waited_for_once_and_then_remembered(install):
    bad = install("hangs")
    with pytest.raises(PluginLoadError):
        bad.named_engine()

    began_s = time.monotonic()
    with pytest.raises(PluginLoadError, match="it took longer than 3 s"):
        bad.named_engine()

    assert time.monotonic() - began_s < 1.5


def test_a_plugin_that_fails_only_in_a_worker_ends_that_engine_with_its_words(install):
    with pytest.raises(JackfieldError, match=r"libacme\.so\.3: cannot open shared object file"):
        install("works_here_only").named_engine(**{"select.executor": "multiprocess"})


def test_a_worker_with_another_version_of_the_plugin_is_refused(install, wheels, monkeypatch):
    from jackfield.executor import multiprocess

    bad = install("sound")
    (info,) = wheels.glob("bad_sound-*.dist-info")
    metadata = (info / "METADATA").read_text()
    start = multiprocess.MultiprocessExecutor.start

    def upgrade_then_start(executor):
        (info / "METADATA").write_text(metadata.replace("1.2.3", "1.3.0"))
        return start(executor)

    monkeypatch.setattr(multiprocess.MultiprocessExecutor, "start", upgrade_then_start)
    try:
        with pytest.raises(
            JackfieldError, match=r"selects sound of bad-sound 1\.2\.3, but here 1\.3\.0"
        ):
            bad.named_engine(**{"select.executor": "multiprocess"})
    finally:
        (info / "METADATA").write_text(metadata)
