"""Weight formats: from files to a canonical config and canonical tensors, without any tensor library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from jackfield.dtypes import DType
from jackfield.interfaces.card import Card
from jackfield.interfaces.model_source import ModelFiles


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, element type and shape of a stored tensor, as `Checkpoint.read` yields it."""

    name: str  # name in the Hugging Face layout
    dtype: DType  # dtype of the elements that `read` yields
    shape: tuple[int, ...]  # row-major
    file: str  # file that holds the tensor, for messages


class Checkpoint(ABC):
    """An open checkpoint. Names, shapes and config are those of the Hugging Face layout of the architecture.

    If the format stores tensors in another form, this class undoes that.
    """

    @property
    def is_synthetic(self) -> bool:
        """True: there is a config but no tensor; the loader draws the weights from normal(0, 0.02), seeded by
        `model.seed`.
        """
        return False

    @property
    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        """The content of config.json, or the same facts from the format's own metadata, with `architectures`."""

    @property
    def generation(self) -> Mapping[str, Any]:
        """The content of generation_config.json, or the same facts from the format's own metadata; may be empty."""
        return {}

    @property
    @abstractmethod
    def tensors(self) -> Mapping[str, TensorInfo]:
        """All tensors by name. Reading this property reads the headers of files only."""

    @property
    def packed(self) -> Mapping[str, TensorInfo]:
        """Tensors that `read` also gives in packed form: uint8 [rows, bytes], named NAME.FORMAT ("x.weight.Q4_K")."""
        return {}

    @abstractmethod
    def read(self, name: str) -> memoryview:
        """The bytes of one tensor, with elements in C order and buffer format "B"; may be a read-only view of a
        memory map.

        If the buffer is writable, its memory was made for the caller, who may keep it after `close`.

        Raises CheckpointError if the file is too short. The error names the file, the tensor, the expected and the
        found size.
        """

    @abstractmethod
    def close(self) -> None:
        """Release files and memory maps. Read-only buffers from `read` must not be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class WeightFormat(Card):
    """Opens checkpoints of one format. `check(files, facts)` refuses files of another format."""

    @abstractmethod
    def open(self, files: ModelFiles) -> Checkpoint:
        """Open the files and read their headers. Raises CheckpointError if they are missing or broken."""
