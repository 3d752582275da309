"""The immutable plan of which plugin serves what. The parent makes it once; every worker applies it unchanged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from jackfield.decision import Decision
from jackfield.errors import PluginNotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRef:
    """The origin of a plugin. Holding a reference imports nothing."""

    kind: str  # without the major, such as "jackfield_torch.attention_backends"
    major: int  # major of its contract
    name: str  # name that users write
    distribution: str  # normalised name; "local" for one-file plugins
    version: str  # version of the distribution
    target: str  # "module:attribute"
    content_sha256: str = ""  # hash of the file, for one-file plugins


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A plugin that was chosen for a subject."""

    subject: str  # what it was chosen for, in words: "engine", "model", "layers 0-29"
    plugin: PluginRef  # the chosen plugin
    # The modules that it serves, such as "layers.0"; () means the whole model.
    covers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPlan:
    """All selections of an engine. Two processes run the same plugins if and only if their digests are equal."""

    selections: tuple[Selection, ...]  # in the order of the selections
    decisions: tuple[Decision, ...] = ()  # the reasons for the selections
    # A digest of the files of each distribution in use; "" if it has none (editable installs).
    contents: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the selections, in order, and the contents. Decisions do not enter."""
        selections = [asdict(selection) for selection in self.selections]
        text = json.dumps([selections, dict(self.contents)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def selected(self, kind: str) -> PluginRef:
        """The plugin of a kind of which an engine has one. Raises PluginNotFound.

        A kind of the core may be written without the package: "weight_formats" is "jackfield.weight_formats".
        """
        for selection in self._of_kind(kind):
            return selection.plugin
        raise PluginNotFound(f"the activation plan has no {kind}")

    def by_module(self, kind: str) -> dict[str, PluginRef]:
        """The plugin for each module ("layers.0", "layers.0.mixer.q") that a selection of `kind` covers."""
        return {
            module: selection.plugin
            for selection in self._of_kind(kind)
            for module in selection.covers
        }

    def _of_kind(self, kind: str) -> Iterator[Selection]:
        full = kind if "." in kind else f"jackfield.{kind}"
        return (selection for selection in self.selections if selection.plugin.kind == full)
