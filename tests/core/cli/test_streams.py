"""Closed, full and narrow standard streams and interrupts end in one line, whatever the command is given."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.cli.main import main

PROGRAM = str(Path(sys.executable).with_name("jackfield"))


def shell(command, **environ):
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, env={**os.environ, **environ}, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(
    ("command", "status", "told"),
    [
        ("plugins >&-", 2, "standard output is closed"),
        ("plugins --json > /dev/full", 1, "No space left on device"),
        ("generate nothing <&-", 2, "no prompt: give --prompt TEXT"),
        ("generate ./nothing --prompt x 2>&-", 2, ""),
        ("plugins --json | head -c 1", 0, ""),
    ],
)
def test_a_stream_that_is_closed_or_full_is_told_in_one_line(command, status, told):
    found, _, err = shell(f"{PROGRAM} {command}")

    assert found == status
    assert told in err
    assert len(err.splitlines()) <= 1


def test_characters_that_a_terminal_lacks_are_no_error():
    status, _, err = shell(f"{PROGRAM} generate ./caf\u00e9 --prompt x", PYTHONIOENCODING="ascii")

    assert status == 2
    assert "Traceback" not in err


@pytest.mark.parametrize("after_s", [0.1, 0.2])
def test_an_interrupt_at_the_start_tells_no_traceback(after_s):
    program = subprocess.Popen(
        [PROGRAM, "plugins", "check"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    time.sleep(after_s)
    program.send_signal(signal.SIGINT)

    _, err = program.communicate(timeout=30)

    assert program.returncode in (-signal.SIGINT, 130)
    assert b"jackfield" not in err  # no line of its code; the interpreter itself may have begun


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["generate", "chat", "explain", "plugins", "doctor", "new", "bench", "lock", "./nothing", "--prompt", "--set",
             "--config", "--prompts-file", "--json", "--stream", "--max-tokens", "none", "-1", "--n", "--stop", "a.b=c",
             "model.max_length=0", "cache.block_size=x", "--dtype", "--platform", "--logit-bias", "--debug", "--", "-v"]
        ),
        st.text(max_size=8),
        st.binary(max_size=8).map(os.fsdecode),
    ),
    max_size=6,
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(words=WORDS, data=st.binary(max_size=40))
def test_no_words_and_no_input_make_a_traceback(words, data, tmp_path_factory, monkeypatch, capfd):
    """What takes long, or writes where it is told to, is left out: `doctor` and `new` have tests of their own."""
    if {"doctor", "new", "check"} & set(words):
        return
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    (Path.cwd() / "input").write_bytes(data)
    with (Path.cwd() / "input").open(encoding="utf-8", errors="strict") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        try:
            status = main(words)
        except SystemExit as end:  # argparse
            status = end.code

    assert status in (0, 1, 2)
    err = capfd.readouterr().err
    assert "Traceback" not in err or "--debug" in words
