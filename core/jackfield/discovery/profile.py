"""Hardware profiles: what probes found on one machine, saved so that selections can be explained on another.

A profile is a JSON file. Distributions of platforms ship some for their hardware, in `profiles/` of their package.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from jackfield.activation import PluginRef
from jackfield.config.settings import did_you_mean
from jackfield.discovery.loading import describe
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import ConfigError, PluginLoadError
from jackfield.interfaces.adapter import has_probe
from jackfield.interfaces.card import Card, Facts

_FORMAT = 1  # of the file
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Facts by "KIND:NAME@DISTRIBUTION", and what failed where a probe raised."""

    name: str
    machine: Mapping[str, Any]  # for people
    facts: Mapping[str, Facts]
    failed: Mapping[str, str]

    def probe(self, ref: PluginRef, card: Card) -> Facts:
        """What the probe of a plugin found on that machine. Raises PluginLoadError as it did, or if it is not known.

        Cards without a probe of their own need no machine.
        """
        if not has_probe(card):
            return {}
        key = _key(ref)
        if key in self.failed:
            raise PluginLoadError(f"on the machine of profile {self.name}: {self.failed[key]}")
        if key not in self.facts:
            raise PluginLoadError(
                f"profile {self.name} holds nothing that {describe(ref)} found; save one where it is "
                "installed: jackfield doctor --save-profile FILE"
            )
        return self.facts[key]


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
        )
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ConfigError(
        f"cannot read the profile {path}: {reason}. Write one with: jackfield doctor --save-profile FILE"
    )


def find_profile(word: str, platforms: Iterable[PluginRef]) -> Profile:
    """The profile in the file `word`, or the one of that name that the distribution of a platform ships.

    Nothing of a platform is imported. Raises ConfigError.
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
    """Probe every plugin that is served, and write what they found. Raises ConfigError where it cannot write."""
    facts: dict[str, Facts] = {}
    failed: dict[str, str] = {}
    for ref in (ref for kind in registry.kinds for ref in registry.refs(kind.name)):
        try:
            card = registry.card(ref)
            if isinstance(card, Card) and has_probe(card):
                facts[_key(ref)] = registry.facts(ref)
        except PluginLoadError as error:
            failed[_key(ref)] = str(error).partition("\n")[0]
    document = {"format": _FORMAT, "machine": dict(machine), "facts": facts, "failed": failed}
    try:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write the profile {path}: {error.strerror or error}. Name a file in a folder that exists"
        ) from None
    return Profile(name=path.stem, machine=machine, facts=facts, failed=failed)


def _key(ref: PluginRef) -> str:
    return f"{ref.kind}:{ref.name}@{ref.distribution}"


def _package_folders(ref: PluginRef) -> list[Path]:
    package = ref.target.partition(":")[0].partition(".")[0]
    spec = PathFinder.find_spec(package)
    return [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
