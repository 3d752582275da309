"""The two files of a batch. Requests are read when they are needed; answers are appended when they arrive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import msgspec

from jackfield.errors import ConfigError


class BatchRequest(msgspec.Struct):
    """One line of the input."""

    custom_id: str
    url: str
    body: msgspec.Raw
    method: str = "POST"


class BatchAnswer(msgspec.Struct):
    """The body of an answer with its status."""

    status_code: int
    request_id: str
    body: Any


class BatchError(msgspec.Struct):
    """Why there is no answer."""

    code: str
    message: str


class BatchResult(msgspec.Struct):
    """One line of the output."""

    id: str
    custom_id: str
    response: BatchAnswer | None = None
    error: BatchError | None = None

    @property
    def is_final(self) -> bool:
        """False if the server was at fault: the next run asks again."""
        return self.response is not None and self.response.status_code < 500


_decode_request = msgspec.json.Decoder(BatchRequest).decode
_decode_result = msgspec.json.Decoder(BatchResult).decode
_encode = msgspec.json.Encoder().encode


def read_requests(path: Path) -> Iterator[BatchRequest]:
    """Read line by line. Raises ConfigError that names the line."""
    seen: set[str] = set()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    request = _decode_request(line)
                except msgspec.DecodeError as error:
                    raise ConfigError(
                        f"{path}, line {number}: {error}. A line is a JSON object with custom_id, method, url and body"
                    ) from None
                if request.custom_id in seen:
                    raise ConfigError(
                        f"{path}, line {number}: custom_id {request.custom_id!r} stands there twice"
                    )
                seen.add(request.custom_id)
                yield request
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


class ResultFile:
    """Answers, in the order of their arrival. Answers of an earlier run are kept, except those to be asked again."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError if the file is no output of a batch."""
        self.done: set[str] = set()  # custom_ids that need not be asked again
        self.num_answered = 0  # number of answers with status 200, in all runs
        self._path = path
        kept = list(self._kept())
        try:
            if path.exists():
                _rewrite(path, kept)
            self._file: IO[bytes] = path.open("ab")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None

    def add(self, custom_id: str, status: int, body: bytes) -> None:
        """Write one answer to disk, so that it is kept if this process ends."""
        answer = BatchAnswer(status, uuid4().hex, _raw_or_text(body))
        self._write(BatchResult(f"batch_req_{uuid4().hex}", custom_id, answer))
        self.num_answered += status == 200

    def add_error(self, custom_id: str, code: str, message: str) -> None:
        """Write that a request has no answer."""
        error = BatchError(code, message)
        self._write(BatchResult(f"batch_req_{uuid4().hex}", custom_id, None, error))

    def close(self) -> None:
        """Close the complete file."""
        self._file.close()

    def _write(self, result: BatchResult) -> None:
        self._file.write(_encode(result) + b"\n")
        self._file.flush()

    def _kept(self) -> Iterator[bytes]:
        """Lines of earlier runs to keep. An incomplete last line is left out."""
        if not self._path.exists():
            return
        lines = self._path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            try:
                result = _decode_result(line)
            except msgspec.DecodeError as error:
                if number == len(lines) and not line.endswith(b"\n"):
                    return
                raise ConfigError(
                    f"{self._path}, line {number}: {error}. Name another file for the output"
                ) from None
            if result.is_final:
                self.done.add(result.custom_id)
                self.num_answered += (
                    result.response is not None and result.response.status_code == 200
                )
                yield line


def _rewrite(path: Path, lines: list[bytes]) -> None:
    """Replace the content of the file by these lines, in one operation."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(b"".join(lines))
    partial.replace(path)


def _raw_or_text(body: bytes) -> Any:
    try:
        msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body.decode(errors="replace")
    return msgspec.Raw(body)
