"""Metadata of one architecture, with errors that name the file and the key."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar, overload

from jackfield.errors import CheckpointError
from jackfield_gguf.reader import GgufFile

T = TypeVar("T")
_HYBRIDS = ("granitehybrid",)  # architectures whose layers differ


class Metadata:
    """The keys `ARCHITECTURE.*` of a file, without that prefix."""

    def __init__(self, file: GgufFile) -> None:
        self.file = file
        architecture = file.get("general.architecture")
        if not isinstance(architecture, str):
            raise CheckpointError(
                f"{file.path} does not say its architecture (general.architecture is "
                f"{architecture!r}); a name such as 'llama' is needed. Convert the model again"
            )
        self.architecture = architecture

    @property
    def path(self) -> Path:
        """The file, for messages."""
        return self.file.path

    def require(self, key: str, kind: type[T]) -> T:
        """The value, which must be present and of type `kind`."""
        value = self.get(key, kind)
        if value is None:
            raise CheckpointError(
                f"{self.path} lacks the metadata {self.architecture}.{key}; a {kind.__name__} is "
                "needed. Convert the model again"
            )
        return value

    @property
    def num_heads(self) -> int:
        """Heads of queries."""
        return self.require("attention.head_count", int)

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys, in the layers that have any."""
        if self.architecture in _HYBRIDS:
            return max(self.kv_heads_of_layers)
        return self.get("attention.head_count_kv", int, self.num_heads)

    @property
    def kv_heads_of_layers(self) -> list[int]:
        """Heads of keys of each layer of a hybrid; 0 for a layer without attention."""
        return self.require("attention.head_count_kv", list)

    @overload
    def get(self, key: str, kind: type[T], default: T) -> T: ...
    @overload
    def get(self, key: str, kind: type[T], default: None = None) -> T | None: ...
    def get(self, key: str, kind: type[T], default: T | None = None) -> T | None:
        """The value, or `default` if the file has none."""
        name = f"{self.architecture}.{key}"
        if name not in self.file:
            return default
        value = self.file[name]
        if kind is float and type(value) is int:
            return float(value)  # type: ignore[return-value]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise CheckpointError(
                f"{self.path}: the metadata {name} are {str(value)[:60]!r}; a {kind.__name__} is "
                "supported. Convert the model again, or use its original checkpoint"
            )
        return value
