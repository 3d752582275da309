"""Settings that are gone. They stay known, so that using one is an error that names its replacement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jackfield.config.provenance import Source, SourceKind
from jackfield.config.settings import variable_of
from jackfield.errors import UnknownSettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What became of a setting."""

    since: str  # release: "0.4"
    renamed_to: str = ""  # the setting that means the same now
    advice: str = ""  # a sentence: what to do instead if no setting means the same


# By "section.key", or "section" if all of one is gone. An entry stays as long as a contract would
# (docs/compatibility.md). No setting has been removed so far.
REMOVED: Mapping[str, Removed] = {}


def check_removed(key: str, source: Source) -> None:
    """Raise UnknownSettingError for a setting that is gone, with its replacement as `source` would write it."""
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
