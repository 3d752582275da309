"""The known architecture that is most like an unknown checkpoint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jackfield.discovery.kinds import MODELS
from jackfield.discovery.registry import PluginRegistry
from jackfield.interfaces.model import ConfigReader, is_taking_any
from jackfield.model_spec import ModelSpec, Norm
from jackfield.startup.unread import without_idle

_LEAST = 0.5  # least share of equal tensors; below that a comparison misleads
_TOLD = 4  # most names of each kind in a message
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)|\{\w\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """A known architecture compared with the checkpoint. In names of tensors `*` stands for layer and expert numbers."""

    architecture: str
    alike: float  # 0 to 1: share of tensors that both have (Dice's coefficient)
    others: tuple[str, ...]  # tensors of the checkpoint that the architecture does not use
    lacking: tuple[str, ...]  # tensors that the architecture needs and the checkpoint lacks
    unread: tuple[str, ...]  # keys of the config that the architecture does not read

    def __str__(self) -> str:
        differs = [
            *_told("the checkpoint also has the tensors", self.others),
            *_told("it lacks", self.lacking),
            *_told("the config also says", self.unread),
        ]
        return f"Nearest is {self.architecture}: " + ("; ".join(differs) or "nothing differs")


def nearest(
    registry: PluginRegistry, config: Mapping[str, Any], tensors: Iterable[str]
) -> Nearest | None:
    """The known architecture whose spec of `config` finds most of `tensors`; None if none finds half of them."""
    names = [_starred(name) for name in tensors]
    found = [
        _compare(ref.name, spec, names, reader.unread)
        for ref in registry.refs(MODELS)
        for reader in [ConfigReader({**config})]  # each notes by itself what it reads
        if (spec := _spec_of(registry, ref, reader))
    ]
    wanted = str((config.get("architectures") or [""])[0])
    best = max(
        found,
        key=lambda it: (it.alike, -len(it.unread), _likeness(it.architecture, wanted)),
        default=None,
    )
    return best if best and best.alike >= _LEAST else None


def _spec_of(registry: PluginRegistry, ref: Any, reader: ConfigReader) -> ModelSpec | None:
    """The spec that an architecture makes of another one's config; None if it refuses."""
    try:
        build = registry.card(ref)
        spec = None if is_taking_any(build) else build(reader)
    except Exception:  # a config of another architecture may break a plugin in any way
        return None
    return spec if isinstance(spec, ModelSpec) else None


def _compare(
    architecture: str, spec: ModelSpec, names: list[str], unread: Iterable[str]
) -> Nearest:
    used = _used(spec)
    modules = {_starred(source.prefix) for name, source in spec.modules.items() if name in used}
    known = {name for name in names if name in modules or name.rpartition(".")[0] in modules}
    served = {name if name in modules else name.rpartition(".")[0] for name in known}
    others, lacking = {*names} - known, modules - served
    return Nearest(
        architecture=architecture,
        alike=2 * len(served) / max(1, 2 * len(served) + len(others) + len(lacking)),
        others=tuple(sorted(others)),
        lacking=tuple(sorted(lacking)),
        unread=tuple(without_idle(unread)),
    )


def _used(spec: ModelSpec) -> set[str]:
    """The logical modules of the family that the layers of this model have."""
    linears = set(map(_starred, spec.linears))
    used = set()
    for name in spec.modules:
        first, _, path = name.partition(".{i}.")
        owners = spec.layers if path else (spec,)
        found = {bool(_value(owner, path or first)) for owner in owners}
        if True in found or _starred(name) in linears:
            used.add(name)
    return used


def _value(owner: Any, path: str) -> Any:
    """The value at `path`, such as the norm of a layer. Modules that are no field, such as the head, count as present."""
    for part in path.split("."):
        owner = getattr(owner, part, path.count(".") == 0)
    return owner.weight or owner.bias if isinstance(owner, Norm) else owner


def _starred(name: str) -> str:
    return _NUMBER.sub("*", name)


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, name, other).ratio()


def _told(what: str, names: tuple[str, ...]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return [f"{what} {', '.join(names[:_TOLD])}{more}"]
