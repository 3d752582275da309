"""The adapters that requests may name, and how they come and go while the engine runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jackfield.checkpoint.adapter import digest_of, read_adapter
from jackfield.config.settings import did_you_mean
from jackfield.decision import Reason
from jackfield.errors import ModelError, RequestError
from jackfield.interfaces.adapters import AdapterChange, AdapterFiles

Check = Callable[[tuple[AdapterFiles, ...]], tuple[Reason, ...]]


class Adapters:
    """Names and digests of the adapters. Without `check`, none can be loaded."""

    def __init__(self, files: Iterable[AdapterFiles] = (), check: Check | None = None) -> None:
        self._files = {adapter.name: adapter for adapter in files}
        self._digests = {name: digest_of(adapter) for name, adapter in self._files.items()}
        self._check = check

    @property
    def names(self) -> tuple[str, ...]:
        """The names that requests may give, in the order in which they were loaded."""
        return tuple(self._digests)

    def key(self, name: str) -> str:
        """What tells the cached blocks of this adapter from others; "" for none. Raises RequestError if it is unknown."""
        if not name:
            return ""
        found = self._digests.get(name)
        if found is None:
            raise RequestError(
                f"there is no adapter {name!r}{did_you_mean(name, self._digests)} Loaded: "
                f"{', '.join(self._digests) or 'none'}. Name its folder in the settings: adapters.{name} = FOLDER"
            )
        return found

    def load(self, name: str, path: str) -> AdapterChange:
        """Check an adapter and let requests name it. Raises RequestError if it does not fit, or the name is taken."""
        if self._check is None:
            raise RequestError(
                "this engine takes no adapters. Start it with select.adapters = lora, or with an adapter in the settings"
            )
        if not name or name in self._files:
            raise RequestError(
                f"an adapter needs a name of its own, got {name!r}; loaded: {', '.join(self._files) or 'none'}"
            )
        try:
            adapter = read_adapter(name, path)
            digest = digest_of(adapter)
        except (ModelError, OSError) as error:
            raise RequestError(str(error)) from error
        if reasons := self._check((*self._files.values(), adapter)):
            raise RequestError("; ".join(map(str, reasons)))
        self._files[name], self._digests[name] = adapter, digest
        return AdapterChange(name, adapter.path)

    def unload(self, name: str) -> AdapterChange:
        """Let no request name it any more. Raises RequestError if there is none."""
        self.key(name)
        del self._files[name], self._digests[name]
        return AdapterChange(name)
