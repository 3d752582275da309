"""`jackfield chat --url`: a conversation with a server."""

import io

from jackfield.cli.main import main


def chat(monkeypatch, capsys, text, *words):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    status = main(["chat", *words])
    return status, capsys.readouterr()


def test_a_conversation_goes_on_with_what_was_said(server, monkeypatch, capsys, tmp_path):
    saved = tmp_path / "saved.json"
    text = f"Hi\nAgain\n/save {saved}\n"
    words = ("--url", server.url, "--max-tokens", "4", "--ignore-eos")

    status, told = chat(monkeypatch, capsys, text, *words)

    assert status == 0
    assert told.err.count("[cut off") == 2
    assert saved.read_text().count('"assistant"') == 2


def test_what_the_server_refuses_is_told(server, monkeypatch, capsys):
    url = ("--url", server.url)
    assert chat(monkeypatch, capsys, "Hi\n", "nothing", *url)[0] == 1
    status, told = chat(monkeypatch, capsys, "", "--url", "http://127.0.0.1:1")

    assert status == 2
    assert "no model could be found" in told.err
