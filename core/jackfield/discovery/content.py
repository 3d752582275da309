"""The content of an installed distribution, by the hashes in its wheel."""

from __future__ import annotations

import csv
import hashlib
import json

from jackfield.discovery.scan import find_distribution

# Files that the installer writes. They differ between machines that installed the same wheel.
_NOT_OF_THE_WHEEL = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")


def fingerprint(name: str) -> str:
    """A digest of a distribution's RECORD, which equal wheels share. Reads none of the files.

    Empty for editable installs, and for installs without a RECORD.
    """
    found = find_distribution(name)
    record = (found.read_text("RECORD") if found else None) or ""
    rows = sorted(
        f"{path} {digest}"
        for path, digest, *_ in csv.reader(record.splitlines())
        # The first line of a script names this machine's interpreter.
        if digest and path[:2] != ".." and path.rpartition("/")[2] not in _NOT_OF_THE_WHEEL
    )
    if not rows or is_editable(name):
        return ""
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def is_editable(name: str) -> bool:
    """True if the distribution is a link to a working folder, whose content may change at any time."""
    found = find_distribution(name)
    origin = (found.read_text("direct_url.json") if found else None) or "{}"
    return bool(json.loads(origin).get("dir_info", {}).get("editable"))
