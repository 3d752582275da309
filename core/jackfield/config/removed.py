"""Removed settings. They stay known, so that using one is an error that names its replacement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jackfield.config.provenance import Source, SourceKind
from jackfield.config.settings import variable_of
from jackfield.errors import UnknownSettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What to use instead of a removed setting."""

    since: str  # release that removed it: "0.4"
    renamed_to: str = ""  # the setting that now has this meaning
    advice: str = ""  # a sentence on what to do instead, if no setting has this meaning


# By "section.key", or "section" if a whole section was removed. An entry stays as long as a contract would
# (docs/compatibility.md). So far no setting has been removed.
REMOVED: Mapping[str, Removed] = {}


def check_removed(key: str, source: Source) -> None:
    """Raise UnknownSettingError for a removed setting, with its replacement in the notation of `source`."""
    name = key
    while name not in REMOVED:
        name = name.rpartition(".")[0]
        if not name:
            return
    found, rest = REMOVED[name], key.removeprefix(name)
    now = f"{found.renamed_to}{rest}"
    if source.kind is SourceKind.ENVIRONMENT:
        now = variable_of(now)
    verb = "renamed" if found.renamed_to else "removed"
    instead = f"Write {now} instead" if found.renamed_to else found.advice
    raise UnknownSettingError(
        f"the setting {key} was {verb} in jackfield {found.since} ({source}). {instead}"
    )
