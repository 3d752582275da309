"""Whatever a plugin does where it is tried, the one that asks gets one outcome, and soon."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jackfield.activation import PluginRef
from jackfield.discovery.probing import process
from jackfield.discovery.probing.limits import Limits
from jackfield.discovery.probing.outcome import FINE, HUNG, INTRUSIVE, LOST, RAISED
from jackfield.discovery.probing.process import TrialProcess
from jackfield.errors import PluginLoadError
from jackfield.interfaces.card import Watch

CARD = """
import os, sys
from jackfield.interfaces.card import Watch
from jackfield.interfaces.tokenizer import TokenizerFormat
class Format(TokenizerFormat):
    watches = Watch(variables=("ACME_*",))
    def probe(self):
        return {probe}
    def open(self, files): ...
"""
FAKE_TORCH = """
import sys, types
sys.modules["torch"] = types.SimpleNamespace(cuda=types.SimpleNamespace(is_initialized=lambda: True))
"""
PATCH = "from jackfield.scheduler.scheduler import Scheduler\ndef schedule(self): ...\n"
OTHERS = "def create_worker(self, context): ...\n"
# What a module does before it defines its card: what comes of importing it, and in what words
IMPORTS = {
    "sound": ("", FINE, ""),
    "adds": ("import os, sys\nos.environ['ACME']='1'\nsys.path.append('/acme')", FINE, ""),
    "raises": ("raise RuntimeError('no luck')", RAISED, "RuntimeError: no luck"),
    "exits": ("import sys\nsys.exit(3)", RAISED, "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", LOST, "raised what ends a program"),
    "ends": ("import os\nos._exit(0)", LOST, "ended the process with status 0"),
    "signals": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGRTMIN + 3)",
        LOST,
        f"crashed with signal {signal.SIGRTMIN + 3}",
    ),
    "hangs": ("import time\ntime.sleep(60)", HUNG, r"1 s \(plugins.import_timeout_s\)"),
    "closes": ("import os\nos.closerange(3, 256)", LOST, "closed or wrote to files"),
    "closes_and_hangs": (
        "import os, time\nos.closerange(3, 256)\ntime.sleep(60)",
        LOST,
        "closed or wrote to files",
    ),
    "writes": (
        "import os\nfor fd in range(4, 20):\n try: os.write(fd, b'gar\\nbage')\n except OSError: pass",
        LOST,
        "closed or wrote to files",
    ),
    "forks_and_ends": (
        "import os, time\nif os.fork() == 0: time.sleep(60)\nos._exit(4)",
        LOST,
        "ended the process with status 4",
    ),
    "forks": (
        "import os, time\nif os.fork() == 0: time.sleep(60)",
        INTRUSIVE,
        "started a process and did not wait for its end",
    ),
    "forks_and_goes_on": ("import os\nos.fork()", INTRUSIVE, "started a process"),
    "takes": (FAKE_TORCH, INTRUSIVE, "took torch.cuda when it was imported"),
    "takes_and_raises": (FAKE_TORCH + "raise ImportError", INTRUSIVE, "took torch.cuda"),
    "replaces": (PATCH + "Scheduler.schedule = schedule", INTRUSIVE, r"Scheduler\.schedule"),
    "replaces_code": (
        PATCH + "Scheduler.schedule.__code__ = schedule.__code__",
        INTRUSIVE,
        r"jackfield\.scheduler\.scheduler\.Scheduler\.schedule",
    ),
    "replaces_defaults": (
        "from jackfield.discovery.loading import load_target\nload_target.__defaults__ = (1,)",
        INTRUSIVE,
        r"jackfield\.discovery\.loading\.load_target",
    ),
    "hides": (
        PATCH + "Scheduler.__getattribute__ = lambda self, name: None",
        INTRUSIVE,
        r"Scheduler\.__getattribute__",
    ),
    "clears": (
        "from jackfield.discovery import kinds\nkinds.CORE_KINDS.clear()",
        INTRUSIVE,
        r"kinds\.CORE_KINDS",
    ),
    "replaces_a_module": (
        (
            "import sys, types, jackfield.request\n"
            "sys.modules['jackfield.request'] = types.ModuleType('jackfield.request')"
        ),
        INTRUSIVE,
        r"jackfield\.request",
    ),
    "replaces_builtins": (
        "import builtins\nbuiltins.open = print",
        INTRUSIVE,
        r"builtins\.open, which belong to Python",
    ),
    "replaces_library": (
        "import json\njson.dumps = lambda *a, **k: 'forged'",
        INTRUSIVE,
        r"json\.dumps",
    ),
    "replaces_runtime": (
        OTHERS + "from jackfield_acme_runtime import Platform\n"
        "Platform.create_worker = create_worker",
        INTRUSIVE,
        r"jackfield_acme_runtime\.Platform\.create_worker",
    ),
    "environment": (
        "import os\nos.environ['PATH'] = ''",
        INTRUSIVE,
        "changed the environment variables PATH",
    ),
    "device_variable": (
        "import os\nos.environ['ASCEND_RT_VISIBLE_DEVICES'] = ''",
        INTRUSIVE,
        "changed the environment variables ASCEND_RT_VISIBLE_DEVICES",
    ),
    "folder": ("import os\nos.chdir('/')", INTRUSIVE, "went to the folder /"),
    "path": ("import sys\nsys.path.insert(0, '/acme')", INTRUSIVE, "changed sys.path"),
    "handler": (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
        INTRUSIVE,
        "set the handler of SIGINT",
    ),
    "recursion": ("import sys\nsys.setrecursionlimit(90)", INTRUSIVE, "lowered the recursion"),
    "umask": ("import os\nos.umask(0o777)", INTRUSIVE, "set the umask to 777"),
    "logging": ("import logging\nlogging.disable()", INTRUSIVE, "disabled logging"),
    "thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='t').start()",
        INTRUSIVE,
        "started the thread 't'",
    ),
    "aborts_later": (
        (
            "import threading, time, os\n"
            "threading.Thread(target=lambda: (time.sleep(0.2), os.abort()), daemon=True).start()"
        ),
        FINE,
        "",
    ),
    "waits": ("import time\ntime.sleep(0.5)", FINE, ""),
    "at_exit": ("import atexit, time\natexit.register(time.sleep, 60)", FINE, ""),
}
# What a probe returns or does
PROBES = {
    "finds": ("{'device': 'acme'}", FINE, ""),
    "raises": ("1 / 0", RAISED, "ZeroDivisionError"),
    "no_facts": ("{1: 2}", RAISED, "names with text"),
    "not_a_number": ("{'a': float('nan')}", RAISED, "finite numbers"),
    "huge": ("{'a': 'z' * 50_000_000}", RAISED, "at most 65536 bytes"),
    "ends": ("os._exit(5)", LOST, "ended the process with status 5 when it was probed"),
    "hangs": (
        "__import__('time').sleep(60)",
        HUNG,
        r"2 s \(plugins.probe_timeout_s\) when it was probed",
    ),
    "clears": (
        "sys.modules['jackfield.discovery.kinds'].CORE_KINDS.clear() or {}",
        INTRUSIVE,
        r"kinds\.CORE_KINDS",
    ),
}
IMPORT = Limits(import_s=1.0)
PROBE = Limits(import_s=1.0, probe_s=2.0)
RUNTIME = "class Platform:\n    def create_worker(self, context): ...\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All modules."""
    found = tmp_path_factory.mktemp("modules")
    for name, (source, *_) in IMPORTS.items():
        (found / f"at_import_{name}.py").write_text(f"{source}\n{CARD.format(probe='{}')}")
    for name, (source, *_) in PROBES.items():
        (found / f"in_probe_{name}.py").write_text(CARD.format(probe=source))
    ends_parent = "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(0.2)"
    (found / "at_import_ends_parent.py").write_text(ends_parent)
    facts = "{'process': os.getpid(), 'acme': os.environ.get('ACME')}"
    (found / "in_probe_process.py").write_text(CARD.format(probe=facts))
    (found / "jackfield_acme_runtime.py").write_text(RUNTIME)
    return found


@pytest.fixture(scope="module")
def trials(folder):
    """One process for all: no trial is to leave anything to the next."""
    sys.path.insert(0, str(folder))
    started = TrialProcess()
    yield started
    started.close()
    sys.path.remove(str(folder))


def ref(module, distribution=None):
    return PluginRef(
        kind="jackfield.tokenizers",
        major=1,
        name=module,
        distribution=distribution or module,
        version="1",
        target=f"{module}:Format",
    )


@pytest.mark.parametrize("name", IMPORTS)
def test_an_import_has_one_outcome(trials, name):
    _, code, words = IMPORTS[name]

    outcome = trials.ask(ref(f"at_import_{name}"), IMPORT)

    assert outcome.code == code, outcome.text
    assert re.search(words, outcome.text)


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_has_one_outcome(trials, name):
    _, code, words = PROBES[name]

    outcome = trials.ask(ref(f"in_probe_{name}"), PROBE)

    assert outcome.code == code, outcome.text
    assert re.search(words, outcome.text)


def test_an_outcome_says_how_long_the_import_took_and_what_the_card_watches(trials):
    outcome = trials.ask(ref("in_probe_finds"), PROBE)

    assert 0.0 < outcome.import_s < 1.0
    assert outcome.watch == Watch(variables=("ACME_*",))
    assert outcome.facts == {"device": "acme"}


def test_what_happens_in_a_probe_keeps_what_the_card_watches(trials):
    assert trials.ask(ref("in_probe_ends"), PROBE).watch == Watch(variables=("ACME_*",))


def test_plugins_of_two_distributions_share_nothing(trials):
    trials.ask(ref("at_import_adds"), IMPORT)

    first, second = (trials.ask(ref("in_probe_process"), PROBE).facts for _ in range(2))

    assert first["acme"] is second["acme"] is None
    assert first["process"] != second["process"]


def test_harm_that_another_plugin_may_have_done_is_looked_at_again(trials):
    trials.ask(ref("at_import_aborts_later", "both"), IMPORT)

    outcome = trials.ask(ref("at_import_waits", "both"), IMPORT)

    assert outcome.code == FINE, outcome.text


def test_a_module_that_hangs_is_waited_for_once(trials):
    first = trials.ask(ref("at_import_hangs", "package"), IMPORT)
    began_s = time.monotonic()

    second = trials.ask(ref("at_import_hangs", "package"), IMPORT)

    assert second == first
    assert time.monotonic() - began_s < 0.5


def test_a_process_that_does_not_start_is_waited_for_once(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    broken = TrialProcess()
    with pytest.raises(PluginLoadError, match="does not start"):
        broken.ask(ref("at_import_sound"), IMPORT)
    monkeypatch.setattr(process, "_Running", None)

    with pytest.raises(PluginLoadError, match="does not start"):
        broken.ask(ref("at_import_raises"), IMPORT)


@pytest.mark.parametrize("name", ["forks", "forks_and_ends", "thread", "hangs", "sound"])
def test_nothing_of_a_trial_is_left(trials, folder, name):
    trials.ask(ref(f"at_import_{name}"), IMPORT)
    server = trials._running._process.pid

    trials.close()

    assert processes_in_the_session_of(server) == []


def test_without_word_of_the_end_of_processes_it_is_looked_for(trials, monkeypatch):
    monkeypatch.setattr(process, "_START", f"import os; del os.pidfd_open; {process._START}")
    slow = TrialProcess()

    try:
        assert slow.ask(ref("at_import_sound"), IMPORT).code == FINE
        ended = slow.ask(ref("at_import_forks_and_ends"), IMPORT)
        assert "ended the process with status 4" in ended.text
        assert slow.ask(ref("at_import_hangs"), IMPORT).code == HUNG
    finally:
        slow.close()


def test_a_plugin_that_ends_the_watching_process_is_refused(trials):
    outcome = trials.ask(ref("at_import_ends_parent"), IMPORT)

    assert outcome.code == LOST
    assert "crashed with SIGKILL" in outcome.text
    assert trials.ask(ref("at_import_sound"), IMPORT).code == FINE


def test_an_interrupt_ends_the_trial(trials, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(process._Running, "ask", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trials.ask(ref("at_import_sound"), IMPORT)
    monkeypatch.undo()

    assert trials.ask(ref("at_import_raises"), IMPORT).code == RAISED


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_trial_ends_with_the_process_that_asked(folder, how):
    asks = (
        "import sys; from test_process import *; trials = TrialProcess(); "
        "trials.ask(ref('at_import_sound'), IMPORT); "
        "print(trials._running._process.pid, flush=True); "
        "trials.ask(ref('at_import_hangs'), Limits(import_s=60))"
    )
    path = os.pathsep.join([str(folder), str(Path(__file__).parent), *sys.path])
    asker = subprocess.Popen(
        [sys.executable, "-c", asks], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    server = int(asker.stdout.readline())
    time.sleep(0.2)  # until it hangs

    asker.send_signal(how)
    asker.communicate()

    until_s = time.monotonic() + 5
    while processes_in_the_session_of(server) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert processes_in_the_session_of(server) == []


def processes_in_the_session_of(server):
    """Ids of the running ones."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue  # it has ended
        state, _, _, session = rest.split()[:4]
        if int(session) == server and state != "Z":
            found.append(stat.parent.name)
    return found
