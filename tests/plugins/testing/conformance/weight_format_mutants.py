"""Weight formats with one planted fault each."""

import dataclasses
import struct
from pathlib import Path

from jackfield.checkpoint.dummy import DummyFormat
from jackfield.checkpoint.safetensors import SafetensorsCheckpoint, SafetensorsFormat
from jackfield.decision import Reason
from jackfield.errors import CheckpointError

kept = []  # what a leaky one never lets go


class Sound(SafetensorsCheckpoint):
    pass


class SharedBuffer(SafetensorsCheckpoint):
    def __init__(self, files):
        super().__init__(files)
        self._buffer = bytearray(1 << 12)

    def read(self, name):
        data = super().read(name)
        self._buffer[: len(data)] = data
        return memoryview(self._buffer)[: len(data)]


class OwnCache(SafetensorsCheckpoint):
    def __init__(self, files):
        super().__init__(files)
        self._cache = {}

    def read(self, name):
        if name not in self._cache:
            self._cache[name] = bytearray(super().read(name))
        return memoryview(self._cache[name])


class Transposed(SafetensorsCheckpoint):
    @property
    def tensors(self):
        items = super().tensors.items()
        return {n: dataclasses.replace(i, shape=i.shape[::-1]) for n, i in items}


class ByteSwapped(SafetensorsCheckpoint):
    def read(self, name):
        return memoryview(bytes(reversed(super().read(name))))


class Nameless(SafetensorsCheckpoint):
    def read(self, name):
        if name not in self.tensors:
            raise CheckpointError("there is no such tensor")
        return super().read(name)


class Padding(SafetensorsCheckpoint):
    """Takes a folder whose files do not fit for one without weights."""

    def __init__(self, files):
        try:
            super().__init__(files)
        except CheckpointError:
            self._config, self._tensors, self._shards = {"architectures": ["Any"]}, {}, []


class RawError(SafetensorsCheckpoint):
    def __init__(self, files):
        for path in files.glob("*.safetensors"):
            struct.unpack("<Q", path.read_bytes()[:8])
        super().__init__(files)


class OneConfig(SafetensorsCheckpoint):
    """What one reader changes shows in the next opening."""

    shared: dict[str, object] = {}  # noqa: RUF012

    @property
    def config(self):
        OneConfig.shared = OneConfig.shared or dict(super().config)
        return OneConfig.shared


class BaseName(SafetensorsCheckpoint):
    """Sound: `file` is for messages, and a name says it."""

    @property
    def tensors(self):
        items = super().tensors.items()
        return {n: dataclasses.replace(i, file=Path(i.file).name) for n, i in items}


class Flattening(SafetensorsCheckpoint):
    """Makes a number a list of one."""

    @property
    def tensors(self):
        items = super().tensors.items()
        return {n: dataclasses.replace(i, shape=i.shape or (1,)) for n, i in items}


class Format(SafetensorsFormat):
    opened = Sound

    def open(self, files):
        return self.opened(files)


class TakesAll(Format):
    def check(self, need, facts):
        return ()


class LeavesOpen(Format):
    """A file of its own that only a successful opening closes."""

    def open(self, files):
        file = (files.path / "config.json").open() if files.find("config.json") else None
        kept.append(file)
        checkpoint = super().open(files)
        file.close()
        return checkpoint


class OpensConfigs(Format):
    """Says nothing where the weights are missing."""

    def open(self, files):
        if files.find("config.json") and not files.glob("*.safetensors"):
            return DummyFormat().open(files)
        return super().open(files)


class HeavyCheck(Format):
    def check(self, need, facts):
        for path in need.glob("*.safetensors"):
            path.read_bytes()
        return super().check(need, facts)


class IndexOnly(Format):
    """Sound: it takes less, and says so."""

    def check(self, need, facts):
        found = need.find("model.safetensors.index.json")
        return super().check(need, facts) if found else (Reason("index", "there is no index"),)


class Elsewhere(Format):
    def check(self, need, facts):
        return (Reason("files", "there is no model.else"),)


def __getattr__(name):
    """NAMEFormat: the format that opens with the class NAME."""
    opened = globals().get(name.removesuffix("Format"))
    if not name.endswith("Format") or opened is None:
        raise AttributeError(name)
    return type(name, (Format,), {"opened": opened, "__module__": __name__})
