"""Model sources: from the reference that a user writes to files on this machine."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from jackfield.interfaces.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReference:
    """A model as the user named it, and where downloads go."""

    text: str  # "smollm2", "./model.gguf", "org/name", "pypi:name==version"
    revision: str | None = None  # branch, tag or commit, for sources that have revisions
    cache_folder: Path = field(default_factory=Path)  # downloads are kept here


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """A model on this machine: a folder as hubs lay it out, or a single file."""

    reference: str  # the user's reference to this model
    path: Path  # a folder, or the single file

    def find(self, name: str) -> Path | None:
        """The file of that name in the folder, if there is one."""
        found = self.path / name
        return found if self.path.is_dir() and found.is_file() else None

    def glob(self, pattern: str) -> tuple[Path, ...]:
        """Files of the folder, or the single file, that match; sorted by name."""
        if self.path.is_dir():
            return tuple(sorted(self.path.glob(pattern)))
        return (self.path,) if self.path.match(pattern) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model that a source can name without asking the network: an alias, or a model in its cache."""

    name: str  # name as a user writes it
    # The place on this machine; None: `resolve` would fetch the model.
    path: Path | None = None
    num_bytes: int | None = None  # size on disk, also for a model that is not here yet


class ModelSource(Card):
    """Turns references of one form into files. `check(reference, facts)` refuses references of another form."""

    def known(self, cache_folder: Path) -> tuple[KnownModel, ...]:
        """Models that can be listed or proposed for a mistyped name. Does not use the network."""
        return ()

    def describe(self, reference: ModelReference) -> ModelFiles | None:
        """Fetch the files that describe the model, without its weights: configs, tokenizer, chat templates. Raises
        ModelNotFound.

        Returns None if weights and descriptions come in one file; then the caller has to call `resolve`.
        """
        return None

    @abstractmethod
    def resolve(self, reference: ModelReference) -> ModelFiles:
        """Fetch the files that are missing and return all files. Raises ModelNotFound."""
