"""Models: a function from a checkpoint's config to a ModelSpec, and the reader that makes it short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, overload

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import ModelSpec

T = TypeVar("T")


class ModelBuilder(Protocol):
    """The target of a `jackfield.models.v1` entry point. The entry point is named as in the config's `architectures`.

    A builder marked with `takes_any` is also asked for architectures that no entry point is named after.
    """

    def __call__(self, config: ConfigReader) -> ModelSpec:
        """The spec of this config. Raises UnsupportedModelError for features that a spec cannot express."""


def takes_any(build: ModelBuilder) -> ModelBuilder:
    """Mark a builder that may take any architecture without a builder of its own. It refuses what it cannot take."""
    build.takes_any = True  # type: ignore[attr-defined]
    return build


def is_taking_any(build: object) -> bool:
    """True if the builder is marked with `takes_any`."""
    return getattr(build, "takes_any", False) is True


class _Watched(dict[str, Any]):
    """A config that records which of its keys were read."""

    def __init__(self, values: Mapping[str, Any], asked: set[str]) -> None:
        super().__init__(values)
        self.asked = asked

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


class ConfigReader:
    """A checkpoint's config. Its errors name the key, the value and the architecture."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        asked = values.asked if isinstance(values, _Watched) else set()
        self.values: Mapping[str, Any] = _Watched(values, asked)
        self._asked: set[str] = asked

    @property
    def unread(self) -> tuple[str, ...]:
        """Keys with a value that were never read, through this reader or a reader made from it."""
        left = ((key, value) for key, value in self.values.items() if key not in self._asked)
        return tuple(sorted(key for key, value in left if value or isinstance(value, float)))

    @property
    def architecture(self) -> str:
        """The first entry of `architectures`."""
        names = self.values.get("architectures") or ()
        if not names:
            kind = self.values.get("model_type")
            raise UnsupportedModelError(
                "the config names no architecture (key 'architectures'), and its model_type is "
                f'{kind!r}, by which no plugin is known. Add it, e.g. "architectures": ["LlamaForCausalLM"]'
            )
        return str(names[0])

    def require(self, key: str, kind: type[T]) -> T:
        """The value of `key`, which must be present and of type `kind`. A whole number passes as a float."""
        value = self.values.get(key)
        if value is None:
            raise UnsupportedModelError(f"the config of {self.architecture} lacks {key!r}")
        return self._checked(key, value, kind)

    @overload
    def get(self, key: str, kind: type[T], default: T) -> T: ...
    @overload
    def get(self, key: str, kind: type[T], default: None = None) -> T | None: ...
    def get(self, key: str, kind: type[T], default: T | None = None) -> T | None:
        """The value of `key`, or `default` if it is absent or null."""
        value = self.values.get(key)
        return default if value is None else self._checked(key, value, kind)

    def nullable(self, key: str, kind: type[T], default: T | None) -> T | None:
        """The value of `key`: None if the value is null, `default` if the key is absent. The two often differ."""
        return self.get(key, kind) if key in self.values else default

    def filled(self, **defaults: Any) -> ConfigReader:
        """This config with `defaults` for absent keys. The defaults are those of the family's class in Transformers."""
        return ConfigReader(_Watched({**defaults, **self.values}, self._asked))

    def refuse(self, key: str, value: Any, allowed: str) -> UnsupportedModelError:
        """Make the error for a value that a spec cannot express; the caller raises it."""
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
