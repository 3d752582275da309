"""Models: a function from a checkpoint's config to a ModelSpec, and the reader that makes it short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, overload

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import ModelSpec

T = TypeVar("T")


class ModelBuilder(Protocol):
    """The target of a `jackfield.models.v1` entry point, named as in the config's `architectures`."""

    def __call__(self, config: ConfigReader) -> ModelSpec:
        """The spec of this config. Raises UnsupportedModelError for what the spec cannot say."""


class ConfigReader:
    """A checkpoint's config with errors that name the key, the value and the architecture."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    @property
    def architecture(self) -> str:
        """The first entry of `architectures`."""
        names = self.values.get("architectures") or ()
        if not names:
            raise UnsupportedModelError("the config names no architecture (key 'architectures')")
        return str(names[0])

    def require(self, key: str, kind: type[T]) -> T:
        """The value of `key`, which must be there and of `kind` (whole numbers pass as float)."""
        value = self.values.get(key)
        if value is None:
            raise UnsupportedModelError(f"the config of {self.architecture} lacks {key!r}")
        return self._checked(key, value, kind)

    @overload
    def get(self, key: str, kind: type[T], default: T) -> T: ...
    @overload
    def get(self, key: str, kind: type[T], default: None = None) -> T | None: ...
    def get(self, key: str, kind: type[T], default: T | None = None) -> T | None:
        """The value of `key`, or `default` where it is absent or null."""
        value = self.values.get(key)
        return default if value is None else self._checked(key, value, kind)

    def nullable(self, key: str, kind: type[T], default: T | None) -> T | None:
        """The value of `key`: None where it is null, `default` where it is absent, which often differ."""
        return self.get(key, kind) if key in self.values else default

    def refuse(self, key: str, value: Any, allowed: str) -> UnsupportedModelError:
        """The error for a value that the spec cannot say; the caller raises it."""
        return UnsupportedModelError(
            f"the config of {self.architecture} has {key}={value!r}; supported: {allowed}"
        )

    def _checked(self, key: str, value: Any, kind: type[T]) -> T:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)  # type: ignore[return-value]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise UnsupportedModelError(
                f"the config of {self.architecture} has {key}={value!r}; expected {kind.__name__}"
            )
        return value
