"""What an installed distribution consists of, by the hashes that its wheel brought."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jackfield.discovery.scan import find_distribution

# Written by the installer, so they differ between machines with the same wheel.
_NOT_OF_THE_WHEEL = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")


def content_sha256(name: str) -> str:
    """Digest of all files of a distribution as its RECORD states them: equal wheels give equal digests.

    Empty where nothing is stated: for editable installs, and those that an installer without RECORD made.
    """
    if is_editable(name):
        return ""
    rows = sorted(_files(name))
    text = "\n".join(f"{path} {digest}" for path, digest in rows)
    return hashlib.sha256(text.encode()).hexdigest() if rows else ""


def fingerprint(name: str) -> str:
    """Digest of what a distribution's RECORD states and of the sizes that its files have; empty as above.

    Says at every start whether two processes have the same content, so it reads no file: an edit that keeps the
    size of a file passes (`altered_files` finds it).
    """
    found = find_distribution(name)
    if found is None or is_editable(name):
        return ""
    rows = sorted(
        f"{path} {stated} {_size(found.locate_file(path))}" for path, stated in _files(name)
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest() if rows else ""


def altered_files(name: str) -> tuple[str, ...]:
    """Files that are no longer what the wheel brought, or are gone. Reads every file."""
    found = find_distribution(name)
    if found is None or is_editable(name):
        return ()
    altered = []
    for path, stated in _files(name):
        method, _, digest = stated.partition("=")
        file = found.locate_file(path)
        try:
            content = hashlib.new(method, file.read_bytes()).digest()
        except OSError:
            altered.append(path)
            continue
        if base64.urlsafe_b64encode(content).rstrip(b"=").decode() != digest:
            altered.append(path)
    return tuple(altered)


def is_editable(name: str) -> bool:
    """True where the distribution is a link to a working folder, whose content anyone may change."""
    found = find_distribution(name)
    origin = (found.read_text("direct_url.json") if found else None) or "{}"
    return bool(json.loads(origin).get("dir_info", {}).get("editable"))


def _size(file: Any) -> int:
    try:
        return Path(file).stat().st_size
    except OSError:
        return -1


def _files(name: str) -> Iterator[tuple[str, str]]:
    """Path and stated hash of each file that came with the wheel."""
    found = find_distribution(name)
    record = (found.read_text("RECORD") if found else None) or ""
    for path, digest, *_ in csv.reader(record.splitlines()):
        is_script = path.startswith("..")  # names this machine's interpreter in its first line
        if digest and not is_script and path.rpartition("/")[2] not in _NOT_OF_THE_WHEEL:
            yield path, digest
