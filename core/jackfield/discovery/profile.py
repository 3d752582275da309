"""Hardware profiles: facts of one machine in a file, with which selections can be explained on another machine.

A profile is a JSON file. Distributions of platforms ship profiles of their hardware in `profiles/` of their package.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from jackfield.activation import PluginRef
from jackfield.config.settings import did_you_mean
from jackfield.decision import Reason
from jackfield.discovery.failure import NoFacts
from jackfield.discovery.kinds import short_name
from jackfield.discovery.loading import describe
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import ConfigError, PluginLoadError
from jackfield.interfaces.card import Card, Facts, has_probe

_FORMAT = 1  # version of the format
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Facts by "KIND:NAME@DISTRIBUTION"; or the error of a probe that raised."""

    name: str
    machine: Mapping[str, Any]  # a description for people
    facts: Mapping[str, Facts]
    failed: Mapping[str, str]
    # Versions of the plugins. Files of older versions have none.
    versions: Mapping[str, str] = field(default_factory=dict)

    def probe(self, ref: PluginRef, card: Card) -> Facts:
        """The facts of a plugin's probe on that machine. Raises PluginLoadError if the probe did so, or was not run.

        Cards without a probe of their own have no facts.
        """
        if not has_probe(card):
            return {}
        key = profile_key(ref)
        if key in self.failed:
            raise PluginLoadError(f"on the machine of profile {self.name}: {self.failed[key]}")
        if key not in self.facts:
            lacking = f"profile {self.name} holds nothing that {describe(ref)} found"
            remedy = "save one where it is installed: jackfield doctor --save-profile FILE"
            unknown = NoFacts(f"{lacking}; {remedy}")
            unknown.summary, unknown.remedy = lacking, remedy
            raise unknown
        return self.facts[key]

    def notes(self, installed: Iterable[PluginRef]) -> tuple[Reason, ...]:
        """Why an explanation for that machine may differ from one that is made there."""
        here = {profile_key(ref): ref for ref in installed}
        return tuple(
            note
            for key in dict.fromkeys((*self.facts, *self.failed))
            if (note := self._note(key, here.get(key)))
        )

    def _note(self, key: str, ref: PluginRef | None) -> Reason | None:
        kind, _, plugin = key.partition(":")
        name, _, distribution = plugin.partition("@")
        if ref is None:
            text = f"not asked: {name} of {distribution} ({short_name(kind)}) is in the profile but not installed here"
            return Reason("not_installed", text, f"pip install {distribution}")
        there = self.versions.get(key, ref.version)
        if there == ref.version:
            return None
        text = f"the facts of {name} ({short_name(kind)}) were found by {distribution} {there}, here is {ref.version}"
        return Reason("version", text, "save the profile again, or install that version")


def read_profile(path: Path) -> Profile:
    """The profile in a file. Raises ConfigError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != _FORMAT:
            raise ValueError(f"format is {document['format']!r}, this jackfield reads {_FORMAT}")
        return Profile(
            name=path.stem,
            machine=dict(document["machine"]),
            facts={key: dict(facts) for key, facts in document["facts"].items()},
            failed=dict(document.get("failed", {})),
            versions=dict(document.get("versions", {})),
        )
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ConfigError(
        f"cannot read the profile {path}: {reason}. Write one with: jackfield doctor --save-profile FILE"
    )


def find_profile(word: str, platforms: Iterable[PluginRef]) -> Profile:
    """The profile in the file `word`, or the profile of that name that the distribution of a platform ships.

    Does not import platforms. Raises ConfigError.
    """
    if word.endswith(_SUFFIX):
        return read_profile(Path(word))
    shipped = {
        file.stem: file
        for ref in platforms
        for folder in _package_folders(ref)
        for file in sorted(folder.glob(f"profiles/*{_SUFFIX}"))
    }
    if word not in shipped:
        raise ConfigError(
            f"no profile {word!r}{did_you_mean(word, shipped)} Shipped with the installed platforms: "
            f"{', '.join(sorted(shipped)) or 'none'}; or give a file that ends in {_SUFFIX}"
        )
    return read_profile(shipped[word])


def save_profile(path: Path, machine: Mapping[str, Any], registry: PluginRegistry) -> Profile:
    """Probe every served plugin and write the facts. Raises ConfigError if the file cannot be written."""
    facts: dict[str, Facts] = {}
    failed: dict[str, str] = {}
    versions: dict[str, str] = {}
    for ref in (ref for kind in registry.kinds for ref in registry.refs(kind.name)):
        try:
            card = registry.card(ref)
            if isinstance(card, Card) and has_probe(card):
                facts[profile_key(ref)] = registry.facts(ref)
                versions[profile_key(ref)] = ref.version
        except PluginLoadError as error:
            failed[profile_key(ref)] = error.summary or str(error).partition("\n")[0]
            versions[profile_key(ref)] = ref.version
    profile = Profile(
        name=path.stem, machine=dict(machine), facts=facts, failed=failed, versions=versions
    )
    document = {"format": _FORMAT, **asdict(profile)}
    del document["name"]  # the name of the file gives the profile's name
    try:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write the profile {path}: {error.strerror or error}. Name a file in a folder that exists"
        ) from None
    return profile


def profile_key(ref: PluginRef) -> str:
    """The key of a plugin in profiles."""
    return f"{ref.kind}:{ref.name}@{ref.distribution}"


def _package_folders(ref: PluginRef) -> list[Path]:
    package = ref.target.partition(":")[0].partition(".")[0]
    spec = PathFinder.find_spec(package)
    return [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
