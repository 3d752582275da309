"""Model sources: from the reference that a user writes to files on this machine."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from jackfield.interfaces.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReference:
    """What the user asked for."""

    text: str  # "smollm2", "./model.gguf", "org/name", "pypi:name==version"
    revision: str | None = None  # branch, tag or commit, if the form knows them
    cache_folder: Path = field(default_factory=Path)  # where downloads are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """A model on this machine: a folder as hubs lay it out, or a single file."""

    reference: str  # that led here
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
    """A model that a source can name without asking anybody: an alias, or what its cache holds."""

    name: str  # as a user writes it
    path: Path | None = None  # where it is on this machine; None: it would be fetched
    num_bytes: int | None = None  # that it takes, or would take


class ModelSource(Card):
    """Turns references of one form into files. `check(reference, facts)` refuses what has another form."""

    def known(self, cache_folder: Path) -> tuple[KnownModel, ...]:
        """Models by name, for lists and for slips; touches no network."""
        return ()

    def describe(self, reference: ModelReference) -> ModelFiles | None:
        """Fetch what describes the model without its weights: configs, tokenizer, chat templates. Raises ModelNotFound.

        None if weights and descriptions come together, as in one file: then only `resolve` can tell.
        """
        return None

    @abstractmethod
    def resolve(self, reference: ModelReference) -> ModelFiles:
        """Fetch what is missing and return the files. Raises ModelNotFound."""
