"""Text of others neither acts on a terminal nor floods it."""

import pytest

from jackfield.discovery.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("größer 🙂", "größer 🙂"),
        ("two\n\tlines", "two\n\tlines"),
        ("\x1b[2J", r"\x1b[2J"),
        ("gpj\u202eexe", r"gpj\u202eexe"),
        ("back\r", r"back\r"),
        ("half \ud800", r"half \ud800"),
    ],
)
def test_what_acts_becomes_an_escape(text, shown):
    assert printable(text) == shown


def test_of_a_long_text_the_middle_is_left_out():
    shown = printable("a" * 500 + "b" * 10_000 + "c" * 500, 1000)

    assert shown.startswith("a" * 500 + "\n[... 10000 characters ...]\n")
    assert shown.endswith("c" * 500)


def test_a_table_shows_escapes(capsys):
    from jackfield.cli.tables import print_table

    print_table(("name",), [("\x1b[31mred",)])

    assert r"\x1b[31mred" in capsys.readouterr().out
