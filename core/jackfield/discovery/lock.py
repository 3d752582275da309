"""The lock: the versions and plugins that an engine was made of, and what it selected for each model."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.config import ModelSettings
from jackfield.discovery.local import LOCAL
from jackfield.environment import LOCK_FILE
from jackfield.errors import PluginDrift
from jackfield.interfaces.model_source import ModelFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedDistribution:
    """One distribution and all its plugins."""

    name: str
    version: str
    plugins: Mapping[str, str]  # "jackfield.models.v1:LlamaForCausalLM" -> target


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModel:
    """The selections for one model."""

    # "./m/llama" for a path below the lock's folder, so that both can move; otherwise the whole path, or the name.
    reference: str
    revision: str = ""  # revision of a name
    selections: Mapping[str, str]  # "KIND for SUBJECT" -> plugin

    def __str__(self) -> str:
        return f"{self.reference} at {self.revision}" if self.revision else self.reference

    def is_same(self, other: LockedModel) -> bool:
        """True if both are for the same model."""
        return (self.reference, self.revision) == (other.reference, other.revision)

    def reference_from(self, folder: Path) -> str:
        """The reference for a lock in `folder`, in a form that this process can use."""
        is_below = self.reference.startswith("./")
        return str(folder.resolve() / self.reference) if is_below else self.reference

    def command(self, where: Path) -> str:
        """The command that locks this model in the file `where`."""
        words = ["jackfield", "plugins", "lock", self.reference_from(where.parent)]
        words += ["--set", f"model.revision={self.revision}"] if self.revision else []
        words += [] if where == Path(LOCK_FILE) else ["--set", f"plugins.lock={where}"]
        return shlex.join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The installed and allowed distributions, and the selections of the models that were named."""

    distributions: tuple[LockedDistribution, ...]
    models: tuple[LockedModel, ...] = ()

    def check_plugins(self, plugins: Iterable[PluginRef], where: Path) -> None:
        """Raise PluginDrift if `plugins` differ from this lock, which was read from `where`."""
        _refuse(where, _differences(self, make_lock(plugins)), "jackfield plugins lock")

    def check_model(self, now: LockedModel, where: Path, *, must_know: bool = False) -> None:
        """Raise PluginDrift if another plugin was selected for a model, or if the lock lacks the model.

        A lock without selections concerns only distributions, unless it `must_know` the model.
        """
        for locked in filter(now.is_same, self.models):
            lines = _mapping_differences(f"{now}: ", locked.selections, now.selections)
            _refuse(where, lines, now.command(where))
            return
        if self.models or must_know:
            known = ", ".join(map(str, self.models)) or "none"
            raise PluginDrift(
                f"the lock {where} holds no selections for the model {now}. Models that it holds: {known}. "
                f"Add this one, with the same settings: {now.command(where)}"
            )


def make_lock(plugins: Iterable[PluginRef], models: Iterable[LockedModel] = ()) -> Lock:
    """The lock of the current installation, with the selections of `models`."""
    owners: dict[str, list[PluginRef]] = {}
    for ref in plugins:
        owners.setdefault(_owner(ref), []).append(ref)
    return Lock(
        distributions=tuple(_locked(name, refs) for name, refs in sorted(owners.items())),
        models=tuple(sorted(models, key=str)),
    )


def locked_model(
    settings: ModelSettings, files: ModelFiles, plan: ActivationPlan, folder: Path
) -> LockedModel:
    """The selections of `plan`, as a lock in `folder` holds them."""
    path = _path_of(settings.reference, files)
    return LockedModel(
        reference=_portable(path, folder.resolve()) if path else settings.reference,
        revision="" if path else settings.revision or "",
        selections={
            f"{selection.plugin.kind} for {selection.subject}": (
                f"{selection.plugin.name}@{selection.plugin.distribution}"
            )
            for selection in plan.selections
        },
    )


def lost_selections(model: LockedModel, plugins: Iterable[PluginRef]) -> list[str]:
    """Selections of a locked model whose plugin is no longer among `plugins`."""
    there = {(ref.kind, f"{ref.name}@{ref.distribution}") for ref in plugins}
    return [
        f"{plugin} ({what})"
        for what, plugin in model.selections.items()
        if (what.partition(" for ")[0], plugin) not in there
    ]


def _path_of(reference: str, files: ModelFiles) -> Path | None:
    """The canonical path of a reference, however it is written; None for a name."""
    path = Path(reference)
    with suppress(RuntimeError):  # ~NAME for an unknown user
        path = path.expanduser()
    with suppress(OSError, ValueError):  # no possible name of a file
        return path.resolve() if path.resolve() == files.path.resolve() else None
    return None


def _portable(path: Path, folder: Path) -> str:
    return f"./{path.relative_to(folder).as_posix()}" if path.is_relative_to(folder) else str(path)


def _owner(ref: PluginRef) -> str:
    """The distribution of a plugin. Each file of a local plugin counts as a distribution."""
    local = ref.distribution == LOCAL
    return f"{LOCAL}:{ref.target.partition(':')[0]}" if local else ref.distribution


def _locked(name: str, refs: list[PluginRef]) -> LockedDistribution:
    first, *_ = refs
    return LockedDistribution(
        name=name,
        version=first.version,
        plugins={
            f"{ref.kind}.v{ref.major}:{ref.name}": ref.target
            for ref in sorted(refs, key=lambda ref: (ref.kind, ref.major, ref.name))
        },
    )


def _refuse(where: Path, differences: Iterable[str], command: str) -> None:
    if lines := list(differences):
        raise PluginDrift(
            "\n  ".join([f"this is not what the lock {where} says (locked -> now):", *lines])
            + f"\nInstall what it names, or accept the change with `{command}`"
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
    yield from _mapping_differences(f"{before.name}: ", before.plugins, after.plugins)


def _mapping_differences(
    label: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, "nothing"), after.get(key, "nothing")
        if old != new:
            yield f"~ {label}{key}: {old} -> {new}"
