"""What an installed distribution consists of, by the hashes that its wheel brought."""

from __future__ import annotations

import csv
import hashlib
import json

from jackfield.discovery.scan import find_distribution

# Written by the installer, so they differ between machines with the same wheel.
_NOT_OF_THE_WHEEL = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")


def fingerprint(name: str) -> str:
    """Digest of what a distribution's RECORD states: equal wheels have equal ones. Reads none of the files.

    Empty for editable installs, and for those that an installer without RECORD made.
    """
    found = find_distribution(name)
    record = (found.read_text("RECORD") if found else None) or ""
    rows = sorted(
        f"{path} {digest}"
        for path, digest, *_ in csv.reader(record.splitlines())
        # A script names this machine's interpreter in its first line.
        if digest and path[:2] != ".." and path.rpartition("/")[2] not in _NOT_OF_THE_WHEEL
    )
    if not rows or is_editable(name):
        return ""
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def is_editable(name: str) -> bool:
    """True if the distribution is a link to a working folder, whose content anyone may change."""
    found = find_distribution(name)
    origin = (found.read_text("direct_url.json") if found else None) or "{}"
    return bool(json.loads(origin).get("dir_info", {}).get("editable"))
