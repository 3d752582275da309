"""What strangers may send, from where, and for how long; and who is told that others can reach the server."""

import shutil
import socket
import ssl
import subprocess
import time
from contextlib import suppress

import httpx2
import pytest

PAGE = {"origin": "https://page.example"}


@pytest.fixture(scope="module")
def guarded(serving, tmp_path_factory):
    words = ("--host", "0.0.0.0", "--allowed-origins", PAGE["origin"])
    with serving(
        tmp_path_factory.mktemp("guarded"), *words, "--set", "options.serve.read_timeout_s=1"
    ) as server:
        yield server


def sent(server, data):
    """What a server answers to bytes, up to the end of an error or of the connection."""
    port = httpx2.URL(server.url).port
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        answer = b""
        with suppress(ConnectionError):
            client.sendall(data)
        with suppress(ConnectionError):
            while not answer.endswith(b"}}") and (data := client.recv(1 << 16)):
                answer += data
    return answer.decode()


def test_who_listens_for_other_machines_without_a_key_is_told(guarded, server):
    assert "can be reached from other machines, and no API key is set" in guarded.log
    assert "other machines" not in server.log


def test_pages_may_call_where_their_origin_is_named(guarded, server):
    asked = {**PAGE, "access-control-request-method": "POST"}
    allowed = guarded.http.options("/v1/completions", headers=asked)
    other = guarded.http.get("/v1/models", headers={"origin": "https://other.example"})

    assert allowed.headers["access-control-allow-origin"] == PAGE["origin"]
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in server.http.get("/health", headers=PAGE).headers


@pytest.mark.parametrize(
    "head",
    [b"x: " + b"a" * 70_000, b"x: a\r\n" * 20_000, b"x: " + b"a" * 10_000_000],
    ids=["one", "many", "endless"],
)
def test_a_head_that_is_too_large_is_refused(guarded, head):
    end = b"" if len(head) > 1_000_000 else b"\r\n\r\n"
    found = sent(guarded, b"GET /health HTTP/1.1\r\nhost: x\r\n" + head + end)

    assert found == "" or found.startswith("HTTP/1.1 431 ")
    assert guarded.http.get("/health").status_code == 200


def test_a_head_of_common_size_passes(guarded):
    assert guarded.http.get("/health", headers={"x": "a" * 30_000}).status_code == 200


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /health HT", "HTTP/1.1 408 "),
        (b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{", "HTTP/1.1 408 "),
        (b"", ""),
        (b"what?\r\n\r\n", "HTTP/1.1 400 "),
    ],
    ids=["head", "body", "nothing", "no_http"],
)  # fmt: skip
def test_who_does_not_go_on_is_not_waited_for(guarded, data, status):
    began_s = time.monotonic()
    found = sent(guarded, data)

    assert found.startswith(status)
    assert ('"error":{' in found) == ("connection: close" in found) == bool(status)
    assert time.monotonic() - began_s < 15


def test_a_connection_that_is_idle_between_two_requests_is_kept(guarded):
    with httpx2.Client(base_url=guarded.url, trust_env=False) as client:
        client.get("/health")
        time.sleep(1.5)  # longer than a client may take for a request

        assert client.get("/health").status_code == 200
    assert "Traceback" not in guarded.log


def test_tls_is_spoken_with_a_certificate(start, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *made, *name, "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    words = ("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key))
    with start(*words, verify=ssl.create_default_context(cafile=certificate)) as server:
        assert server.url.startswith("https://")
        assert server.openai().completions.create(model="tiny", prompt="a", max_tokens=2).choices
