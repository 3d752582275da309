"""Whatever a plugin does in the subprocess, the process that asks gets one answer, and soon."""

import signal
import sys
import time
from pathlib import Path

import pytest

from jackfield.activation import PluginRef
from jackfield.discovery.loading import NotSerialisable, PluginFault
from jackfield.discovery.probe import Prober, plain_facts
from jackfield.errors import PluginLoadError
from jackfield.interfaces.card import Card

CARD = """
import os
from jackfield.interfaces.tokenizer import TokenizerFormat
class Format(TokenizerFormat):
    def probe(self):
        return {probe}
    def open(self, files): ...
"""
# What a module does before it defines its card: what comes of importing it, and in what words
IMPORTS = {
    "raises": ("raise RuntimeError('no luck')", "raised", "RuntimeError: no luck"),
    "exits": ("import sys\nsys.exit(3)", "raised", "SystemExit: 3"),
    "lacks": ("import acme_that_nobody_has", "missing dependency", "acme_that_nobody_has"),
    "baseless": ("class Format: ...\n''' ", "wrong class", "Format must extend"),
    "ends": (
        "import os\nos._exit(7)",
        "ended",
        "ended the process with status 7 when it was imported",
    ),
    "crashes": ("import os\nos.abort()", "crashed", "crashed with SIGABRT when it was imported"),
    "signals": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGRTMIN + 3)",
        "crashed",
        f"crashed with signal {signal.SIGRTMIN + 3}",
    ),
    "hangs": ("import time\ntime.sleep(60)", "hung", r"1 s \(plugins.import_timeout_s\)"),
    "leaves": (
        "import os, time\nif os.fork() == 0: time.sleep(60)\nos._exit(4)",
        "ended",
        "ended the process with status 4",
    ),
}
# What a probe returns or does
PROBES = {
    "raises": ("1 / 0", "raised", "ZeroDivisionError"),
    "mumbles": ("{'a': object()}", "not serialisable", "names with text"),
    "ends": ("os._exit(5)", "ended", "ended the process with status 5 when it was probed"),
    "hangs": (
        "__import__('time').sleep(60)",
        "hung",
        r"2 s \(plugins.probe_timeout_s\) when it was probed",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All modules."""
    found = tmp_path_factory.mktemp("modules")
    for name, (source, *_) in IMPORTS.items():
        end = "'''" if source.endswith("''' ") else ""
        (found / f"at_import_{name}.py").write_text(f"{source}\n{CARD.format(probe='{}')}{end}")
    for name, (source, *_) in PROBES.items():
        (found / f"in_probe_{name}.py").write_text(CARD.format(probe=source))
    (found / "sound.py").write_text(CARD.format(probe="{'process': os.getpid()}"))
    return found


@pytest.fixture
def prober(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(folder))
    started = Prober(import_timeout_s=1.0, probe_timeout_s=2.0)
    yield started
    started.close()


class Probing(Card):
    def probe(self):
        raise AssertionError("it is probed in the subprocess")


def ref(module):
    return PluginRef(
        kind="jackfield.tokenizers",
        major=1,
        name=module,
        distribution="acme",
        version="1",
        target=f"{module}:Format",
    )


@pytest.mark.parametrize("name", IMPORTS)
def test_what_an_import_does_is_told_apart(prober, name):
    _, cause, words = IMPORTS[name]

    with pytest.raises(PluginFault, match=words) as caught:
        prober.admit(ref(f"at_import_{name}"))

    assert caught.value.cause == cause
    prober.admit(ref("sound"))  # the next one is tried as usual


@pytest.mark.parametrize("name", PROBES)
def test_what_a_probe_does_is_told_apart(prober, name):
    _, cause, words = PROBES[name]

    with pytest.raises(PluginFault, match=words) as caught:
        prober.probe(ref(f"in_probe_{name}"), Probing())

    assert caught.value.cause == cause


def test_facts_are_found_in_one_subprocess_and_kept(prober):
    first = prober.probe(ref("sound"), Probing())
    prober.close()

    assert prober.probe(ref("sound"), Probing()) == first
    assert not Path(f"/proc/{first['process']}").exists()


def test_facts_that_do_not_last_are_found_in_this_process(prober):
    class Passing(Card):
        facts_last = False

        def probe(self):
            return {"free": 1}

    assert prober.probe(ref("sound"), Passing()) == {"free": 1}


def test_a_module_that_hangs_is_waited_for_once(prober):
    began_s = time.monotonic()
    for _ in range(2):
        with pytest.raises(PluginFault):
            prober.admit(ref("at_import_hangs"))

    assert time.monotonic() - began_s < 2.0


def test_the_end_of_the_asker_ends_the_subprocess(prober):
    (process,) = {prober.probe(ref("sound"), Probing())["process"]}
    prober._process._questions.close()  # as the end of this process does

    for _ in range(100):
        if not Path(f"/proc/{process}/cmdline").read_bytes():  # a zombie
            break
        time.sleep(0.05)
    else:
        pytest.fail("it still runs")


def test_a_subprocess_that_does_not_start_is_an_error_with_the_way_out(prober, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(PluginLoadError, match=r'does not start(?s:.)*plugins.probe = "inline"'):
        prober.admit(ref("sound"))


@pytest.mark.parametrize(
    "facts", [["a"], {1: "a"}, {"a": [1]}, {"a": float("nan")}, {"a": "z" * 70_000}], ids=str
)
def test_facts_that_no_file_can_hold_are_refused(facts):
    with pytest.raises(NotSerialisable, match=r"probe\(\) must return"):
        plain_facts(facts)
