"""A sweep over a real server, and over one that answers oddly."""

import json
import socketserver
import threading
import xml.etree.ElementTree as ET
from contextlib import contextmanager

import pytest

from jackfield.cli.main import main


@pytest.fixture
def sweep(tmp_path, capsys):
    """The report and the exit status of `jackfield bench serve`."""

    def run(url, *words):
        path = tmp_path / "report.json"
        status = main(["bench", "serve", "--url", url, "--output", str(path), *words])
        capsys.readouterr()
        return json.loads(path.read_text())["figures"]["runs"], status

    return run


SHORT = ("--num-prompts", "6", "--input-len", "3", "--output-len", "4", "--request-rate")


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_a_sweep_counts_every_token_at_each_rate(server, sweep, tmp_path, endpoint):
    picture = tmp_path / "sweep.svg"
    goals = ("--goodput", "ttft:60000", "e2el:60000", "--picture", str(picture))
    runs, status = sweep(server.url, *SHORT, "50", "inf", *goals, "--endpoint", endpoint)

    assert status == 0
    assert [run["request_rate"] for run in runs] == [50, None]
    for run in runs:
        assert (run["completed"], run["failed"], run["output_tokens"]) == (6, 0, 24)
        assert run["good_share"] == 1
        assert run["ttft_ms"]["p50"] <= run["ttft_ms"]["p99"] <= run["e2el_ms"]["p99"]
    assert ET.parse(picture).getroot().tag.endswith("svg")


def test_a_picture_can_be_a_png(server, sweep, tmp_path):
    from PIL import Image

    picture = tmp_path / "sweep.png"
    sweep(server.url, *SHORT, "50", "inf", "--picture", str(picture))

    with Image.open(picture) as found:
        assert found.format == "PNG"
        assert len(found.getcolors(1 << 20)) > 4  # lines of several colours on white


def test_requests_that_miss_a_goal_do_not_count(server, sweep):
    ((run,), _) = sweep(server.url, *SHORT, "inf", "--goodput", "ttft:0.000001")

    assert (run["completed"], run["good_share"]) == (6, 0)


def test_refused_requests_are_counted_with_what_was_answered(server, sweep):
    (run,), status = sweep(server.url, *SHORT, "inf", "--model", "nothing", "--warmups", "0")

    assert (status, run["completed"], run["failed"]) == (1, 0, 6)
    assert "nothing" in run["errors"][0]


@contextmanager
def answering(pieces):
    """A server that sends these bytes, whatever it is asked."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1 << 16)
            for piece in pieces:
                self.request.sendall(piece)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_address[1]}"
        finally:
            found.shutdown()
            thread.join()


ONE = ("--num-prompts", "1", "--model", "m", "--warmups", "0")
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_events_that_are_cut_anywhere_are_read(sweep):
    text = b'data: {"choices": [{"text": "a"}]}\n\ndata: {"choices": [{"text": "b"}]}\n\ndata: [DONE]\n\n'
    body = HEAD + b"".join(chunked(text[i : i + 7]) for i in range(0, len(text), 7)) + b"0\r\n\r\n"
    with answering([body[i : i + 5] for i in range(0, len(body), 5)]) as url:
        ((run,), _) = sweep(url, *ONE)

    assert (run["completed"], run["output_tokens"]) == (1, 2)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (HEAD + chunked(b'data: {"choices": [{"text": "a"}]}\n'), "before its answer ended"),
        (HEAD + chunked(b'data: {"error": {"message": "no"}}\n') + b"0\r\n\r\n", "no"),
        (b"what?\r\n\r\n", "Parser"),
    ],
)
def test_an_answer_that_breaks_off_is_a_failure(sweep, sent, told):
    with answering([sent]) as url:
        ((run,), status) = sweep(url, *ONE)

    assert (status, run["failed"]) == (1, 1)
    assert told in run["errors"][0]
