"""What is told of a process that ended."""

import io
import signal

import pytest

from jackfield.discovery.probing.wreck import end_in_words, last_words


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (4, "ended the process with status 4"),
        (-signal.SIGSEGV, "crashed with SIGSEGV"),
        (-(signal.SIGRTMIN + 3), f"crashed with signal {signal.SIGRTMIN + 3}"),
    ],
)
def test_every_end_has_words(status, words):
    assert end_in_words(status) == words


def test_of_a_crash_the_first_lines_are_shown_whatever_was_written_before():
    crash = "Fatal Python error: Aborted\n\nCurrent thread\n" + "  File acme\n" * 50
    written = b"harmless\n" * 9 + b"y" * 1_000_000 + crash.encode()

    shown = last_words(io.BytesIO(written)).splitlines()

    assert shown[:2] == ["    Fatal Python error: Aborted", "    Current thread"]
    assert len(shown) == 6


def test_of_other_text_the_last_lines_are_shown():
    written = "".join(f"line {number}\n" for number in range(20)).encode()

    assert last_words(io.BytesIO(written)).splitlines()[-1] == "    line 19"


def test_what_is_shown_is_short_and_cannot_act():
    shown = last_words(io.BytesIO(b"\x1b[2J" + b"y" * 30_000_000))

    assert len(shown) < 2000
    assert "\x1b" not in shown
