# Part of: jackfield.executors.v1, jackfield.hooks.v1, jackfield.platforms.v1
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from jackfield.decision import Decision
@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRef:
    kind: str
    major: int
    name: str
    distribution: str
    version: str
    target: str
    content_sha256: str = ''
@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    subject: str
    plugin: PluginRef
    covers: tuple[str, ...] = ()
@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPlan:
    selections: tuple[Selection, ...]
    decisions: tuple[Decision, ...] = ()
    contents: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def digest(self) -> str:
        ...

    def selected(self, kind: str) -> PluginRef:
        ...

    def by_module(self, kind: str) -> dict[str, PluginRef]:
        ...
