"""The immutable plan of which plugin serves what, made once in the parent and applied as it is by every worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from jackfield.decision import Decision
from jackfield.errors import PluginNotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRef:
    """Where a plugin comes from. Holding one imports nothing."""

    kind: str  # without the major: "jackfield_torch.attention_backends"
    major: int  # of the contract it speaks
    name: str  # the user's word
    distribution: str  # normalised; local for one-file plugins
    version: str  # of the distribution
    target: str  # "module:attribute"
    content_sha256: str = ""  # of the file, for local one-file plugins


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One plugin chosen for one subject."""

    subject: str  # in words, for people: "engine", "model", "layers 0-29"
    plugin: PluginRef  # chosen for it
    covers: tuple[str, ...] = ()  # the modules that it serves, "layers.0"; (): the whole model


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPlan:
    """All selections of an engine. Two processes run the same plugins if and only if the digests are equal."""

    selections: tuple[Selection, ...]  # in the order in which they were made
    decisions: tuple[Decision, ...] = ()  # how they came about
    # of each distribution in use a digest of its files; "" where it does not say (editable installs)
    contents: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def digest(self) -> str:
        """SHA-256 over selections, in their order, and contents; decisions are commentary and do not enter."""
        selections = [asdict(selection) for selection in self.selections]
        text = json.dumps([selections, dict(self.contents)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def selected(self, kind: str) -> PluginRef:
        """The plugin of a kind of which an engine has one. Raises PluginNotFound.

        A kind of the core may be named without it: "weight_formats" is "jackfield.weight_formats".
        """
        for selection in self._of_kind(kind):
            return selection.plugin
        raise PluginNotFound(f"the activation plan has no {kind}")

    def by_module(self, kind: str) -> dict[str, PluginRef]:
        """The plugin of each module ("layers.0", "layers.0.mixer.q") that a selection of `kind` covers."""
        return {
            module: selection.plugin
            for selection in self._of_kind(kind)
            for module in selection.covers
        }

    def _of_kind(self, kind: str) -> Iterator[Selection]:
        full = kind if "." in kind else f"jackfield.{kind}"
        return (selection for selection in self.selections if selection.plugin.kind == full)
