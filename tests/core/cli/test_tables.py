"""Tables fit the terminal and cut no word."""

import pytest

from jackfield.cli.tables import gib, print_table

ROWS = [
    ("jackfield_torch.quantization", "unquantized", "the only one that fits"),
    ("platforms", "cpu", "order"),
]


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_no_word_is_cut_however_narrow_the_terminal_is(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    print_table(("kind", "chosen", "why"), ROWS)

    out = capsys.readouterr().out
    assert columns < 60 or max(map(len, out.splitlines())) <= columns
    assert all(word in out for row in ROWS for cell in row for word in cell.split())


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(3 << 29, "1.50 GiB"), (5 << 20, "5.0 MiB"), (4096 << 30, "4,096.00 GiB")],
)
def test_sizes_are_for_people(num_bytes, text):
    assert gib(num_bytes) == text
