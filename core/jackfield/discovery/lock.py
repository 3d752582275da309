"""The lock: which distributions with which content an engine was made of, and what it selected for its model."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.discovery.content import content_sha256
from jackfield.discovery.local import LOCAL
from jackfield.errors import ConfigError, PluginDrift

FILE_NAME = "jackfield.lock"
_FORMAT = 1  # of the file
_HEADER = """\
# Written by `jackfield plugins lock`; an engine whose settings name it in plugins.lock refuses to start where
# anything differs. A distribution without sha256 is an editable install: its content is not pinned.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedDistribution:
    """One distribution and all that it plugs in."""

    name: str
    version: str
    sha256: str  # of its content; empty where that is not stated
    plugins: Mapping[str, str]  # "jackfield.models.v1:LlamaForCausalLM" -> target


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What is installed and let in, and the selections of one model if one was named."""

    distributions: tuple[LockedDistribution, ...]
    model: str = ""  # its reference
    selections: Mapping[str, str] = field(default_factory=dict)  # "KIND for SUBJECT" -> plugin

    def check_plugins(self, plugins: Iterable[PluginRef], where: object) -> None:
        """Raise PluginDrift where `plugins` are not those of this lock, which was read from `where`."""
        _refuse(where, _differences(self, make_lock(plugins)))

    def check_selections(self, model: str, plan: ActivationPlan, where: object) -> None:
        """Raise PluginDrift where another plugin was selected for the locked model. Other models are free."""
        if model == self.model:
            _refuse(where, _mapping_differences("", self.selections, selections_of(plan)))


def make_lock(
    plugins: Iterable[PluginRef], model: str = "", plan: ActivationPlan | None = None
) -> Lock:
    """The lock of what is installed now, and of the selections of `plan` for `model`."""
    owners: dict[str, list[PluginRef]] = {}
    for ref in plugins:
        owners.setdefault(_owner(ref), []).append(ref)
    return Lock(
        distributions=tuple(_locked(name, refs) for name, refs in sorted(owners.items())),
        model=model,
        selections=selections_of(plan) if plan else {},
    )


def selections_of(plan: ActivationPlan) -> dict[str, str]:
    """The selections of a plan in the words of a lock."""
    return {
        f"{selection.plugin.kind} for {selection.subject}": (
            f"{selection.plugin.name}@{selection.plugin.distribution}"
        )
        for selection in plan.selections
    }


def read_lock(path: Path) -> Lock:
    """The lock in a file. Raises ConfigError where it is missing or broken."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != _FORMAT:
            raise KeyError(f"format is {document.get('format')!r}, this jackfield reads {_FORMAT}")
        return _parsed(document)
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ConfigError(
        f"cannot read the lock {path} that plugins.lock names: {reason}. "
        "Write it with `jackfield plugins lock`, or remove the setting"
    )


def to_toml(lock: Lock) -> str:
    """The file of a lock: sorted, one fact a line, so that its changes read well in a review."""
    lines = [_HEADER + f"format = {_FORMAT}"]
    for found in lock.distributions:
        lines.append(f"\n[distributions.{_text(found.name)}]\nversion = {_text(found.version)}")
        if found.sha256:
            lines.append(f"sha256 = {_text(found.sha256)}")
        lines += [f"plugins.{_text(key)} = {_text(t)}" for key, t in found.plugins.items()]
    if lock.model:
        lines.append(f"\n[model]\nreference = {_text(lock.model)}\n\n[model.selections]")
        lines += [f"{_text(what)} = {_text(plugin)}" for what, plugin in lock.selections.items()]
    return "\n".join(lines) + "\n"


def _owner(ref: PluginRef) -> str:
    """The distribution; each file of a local plugin counts as one."""
    local = ref.distribution == LOCAL
    return f"{LOCAL}:{ref.target.partition(':')[0]}" if local else ref.distribution


def _locked(name: str, refs: list[PluginRef]) -> LockedDistribution:
    first, *_ = refs
    return LockedDistribution(
        name=name,
        version=first.version,
        sha256=first.content_sha256 or content_sha256(first.distribution),
        plugins={
            f"{ref.kind}.v{ref.major}:{ref.name}": ref.target
            for ref in sorted(refs, key=lambda ref: (ref.kind, ref.major, ref.name))
        },
    )


def _parsed(document: Mapping[str, Any]) -> Lock:
    model = document.get("model", {})
    return Lock(
        distributions=tuple(
            LockedDistribution(
                name=name,
                version=entry["version"],
                sha256=entry.get("sha256", ""),
                plugins=dict(entry.get("plugins", {})),
            )
            for name, entry in document.get("distributions", {}).items()
        ),
        model=model.get("reference", ""),
        selections=dict(model.get("selections", {})),
    )


def _refuse(where: object, differences: Iterable[str]) -> None:
    if lines := list(differences):
        raise PluginDrift(
            "\n  ".join([f"this is not what the lock {where} says (locked -> now):", *lines])
            + "\nInstall what it names, or accept the change with `jackfield plugins lock`"
        )


def _differences(locked: Lock, now: Lock) -> Iterator[str]:
    before = {entry.name: entry for entry in locked.distributions}
    after = {entry.name: entry for entry in now.distributions}
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"- {name} {before[name].version}: not installed, or left out by the settings"
        elif name not in before:
            yield f"+ {name} {after[name].version}: not locked"
        else:
            yield from _distribution_differences(before[name], after[name])


def _distribution_differences(
    before: LockedDistribution, after: LockedDistribution
) -> Iterator[str]:
    if before.version != after.version:
        yield f"~ {before.name}: version {before.version} -> {after.version}"
    if before.sha256 != after.sha256:
        old, new = (entry.sha256[:12] or "not pinned" for entry in (before, after))
        yield f"~ {before.name}: content {old} -> {new}"
    yield from _mapping_differences(f"{before.name}: ", before.plugins, after.plugins)


def _mapping_differences(
    label: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, "nothing"), after.get(key, "nothing")
        if old != new:
            yield f"~ {label}{key}: {old} -> {new}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a basic string of TOML
