"""Whatever a plugin does, there is one clear report, and an engine that does not need the plugin runs."""

import re
import sys
import time
from pathlib import Path

import pytest

from jackfield.errors import JackfieldError, PluginLoadError
from jackfield.sampling import SamplingParams

AT_IMPORT = {  # what comes of it, and in what words
    "raises": r"RuntimeError: no luck today",
    "lacks": r"No module named 'acme_runtime_that_nobody_has'.*pip install acme_runtime_that_nobody_has",
    "baseless": r"Bad must extend jackfield\.interfaces\.platform\.Platform",
    "misshapen": r"Bad\.check\(self\) cannot be called as its contract does: check\(self, need",
    "colours": r"RuntimeError: \\x1b\[2J no luck \\u202e",
    "vanishes": r"it ended the process with status 7 when it was imported",
    "hangs": r"it took longer than 2 s \(plugins\.import_timeout_s\) when it was imported",
}
HARMFUL = ("vanishes", "hangs")
IN_PROBE = {
    "segfaults": r"it crashed with SIGSEGV when it was probed.*bad_segfaults\.py",
    "mumbles": r"probe\(\) must return names with text.*'device': <object",
}
LATER = {
    "invents": r"cache\.blok_size.*default of platform invents|default of platform invents.*blok_size"
}
EVERYWHERE = "segfaults_everywhere"
OTHER_KINDS = (
    *("commands", "executors", "hooks", "models", "schedulers", "tokenizers", "weight_formats"),
)
WHO = r"{0} 1\.2\.3"
WAY_OUT = r'plugins\.deny = \["{0}@{1}"\]'
MAX_REPORT = 2500  # characters
ONE = SamplingParams(max_tokens=4, ignore_eos=True)


def owner(name):
    return f"bad-{name.replace('_', '-')}"


def answers(llm):
    (output,) = llm.generate([[1, 2, 3]], ONE)
    return len(output.outputs[0].token_ids) == 4


def warnings_of(caplog, name):
    return [record.getMessage() for record in caplog.records if owner(name) in record.getMessage()]


@pytest.mark.parametrize("name", [*AT_IMPORT, *IN_PROBE, *LATER])
def test_an_engine_that_names_another_runs_and_says_nothing(install, name, caplog, capfd):
    with install(name).engine() as llm:
        assert answers(llm)

    assert not warnings_of(caplog, name)  # it was not even tried
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_said_of_a_harmful_one_is_one_line_with_the_way_out(install, name, caplog):
    install(name, "sound").choosing_engine().close()

    (line,) = warnings_of(caplog, name)
    assert line.startswith(f"installed but refused: {name} of {owner(name)} 1.2.3: ")
    assert re.search(WAY_OUT.format(name, owner(name)), line)
    assert "\n" not in line


@pytest.mark.parametrize("name", IN_PROBE)
def test_where_it_is_the_first_choice_the_next_one_is_taken(install, name, caplog):
    with install(name, "sound").choosing_engine() as llm:
        assert answers(llm)
        chosen = next(decision.chosen for decision in llm.decisions if decision.kind == "platforms")

    assert chosen == "sound"
    assert len(warnings_of(caplog, name)) == 1


@pytest.mark.parametrize(("name", "words"), [*AT_IMPORT.items(), *IN_PROBE.items(), *LATER.items()])
def test_an_engine_that_names_it_fails_with_one_clear_report(install, name, words, capfd):
    with pytest.raises(JackfieldError) as caught:
        install(name).named_engine()

    report = str(caught.value)
    assert re.search(words, report, re.DOTALL)
    assert len(report) < MAX_REPORT
    assert report.replace("\n", "").isprintable()
    assert capfd.readouterr().out == ""


def test_the_report_of_a_crash_has_no_lines_of_ours(install):
    with pytest.raises(JackfieldError) as caught:
        install("segfaults").named_engine()

    assert "/jackfield/" not in str(caught.value)
    assert "^^^" not in str(caught.value)


@pytest.mark.parametrize("name", [*AT_IMPORT, *IN_PROBE])
def test_the_report_names_its_distribution_and_the_way_out(install, name):
    bad = install(name)
    registry = bad.registry
    ref = registry.ref("platforms", name)

    with pytest.raises(PluginLoadError) as caught:
        registry.facts(ref)

    assert re.search(WHO.format(owner(name)), str(caught.value))
    assert re.search(WAY_OUT.format(name, owner(name)), str(caught.value))
    (problem,) = (p for p in registry.problems if p.name == name)
    assert (problem.distribution, problem.version) == (owner(name), "1.2.3")
    registry.end_probes()


@pytest.mark.parametrize("name", HARMFUL)
def test_what_would_hurt_never_comes_into_this_process(install, name):
    bad = install(name)

    with pytest.raises(JackfieldError):
        bad.named_engine()

    assert f"bad_{name}" not in sys.modules


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_of_any_kind_it_is_reported_by_itself(install, kind):
    registry = install(EVERYWHERE).registry

    with pytest.raises(PluginLoadError, match=WHO.format(owner(EVERYWHERE))):
        registry.card(registry.ref(kind, EVERYWHERE))

    (problem,) = (p for p in registry.problems if p.name == EVERYWHERE)
    assert (problem.kind, problem.cause) == (f"jackfield.{kind}", "crashed")
    registry.end_probes()


@pytest.mark.parametrize("setting", ["executor", "scheduler", "tokenizer", "weight_format"])
def test_of_any_kind_an_engine_that_names_it_fails_with_its_report(install, setting):
    with pytest.raises(JackfieldError, match=WHO.format(owner(EVERYWHERE))) as caught:
        install(EVERYWHERE).engine(**{f"select.{setting}": EVERYWHERE})

    assert len(str(caught.value)) < MAX_REPORT


@pytest.mark.parametrize("name", ["hangs", "segfaults_everywhere"])
def test_no_process_is_left(install, name):
    before = children_of_this_process()

    install(name).engine().close()

    assert children_of_this_process() == before


def children_of_this_process():
    lists = Path("/proc/self/task").glob("*/children")
    return {number for file in lists for number in file.read_text().split()}


def test_a_hang_is_waited_for_once_and_then_remembered(install):
    bad = install("hangs")
    with pytest.raises(PluginLoadError):
        bad.named_engine()

    began_s = time.monotonic()
    with pytest.raises(PluginLoadError, match="it took longer than 2 s"):
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
