"""Model sources with one planted fault each. They fetch `shelf:NAME` from the folder `remote` beside their cache."""

import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path

from jackfield.decision import Reason
from jackfield.errors import CheckpointError, ModelNotFound
from jackfield.interfaces.model_source import ModelFiles, ModelSource

_lock = threading.Lock()


def copy(remote, folder):
    for path in sorted(remote.iterdir()):
        if path.name == "cut":
            raise CheckpointError(f"{remote.name} was cut off")
        shutil.copy(path, folder)


class Sound(ModelSource):
    def check(self, need, facts):
        taken = need.text.startswith("shelf:")
        return () if taken else (Reason("form", f"{need.text!r} does not begin with shelf:"),)

    def resolve(self, reference):
        cache, name = reference.cache_folder, reference.text.removeprefix("shelf:")
        remote, folder = cache.parent / "remote" / name, cache / name
        if not folder.is_dir():
            if not remote.is_dir():
                raise self.missing(name, cache)
            self.fetch(remote, folder)
        return ModelFiles(reference=reference.text, path=folder)

    def missing(self, name, cache):
        return ModelNotFound(f"the shelf has no model {name!r}")

    def fetch(self, remote, folder):
        with _lock, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            if not folder.is_dir():
                copy(remote, Path(scratch))
                shutil.copytree(scratch, folder)


class AlwaysAsks(Sound):
    def resolve(self, reference):
        socket.getaddrinfo("127.0.0.1", 80)
        return super().resolve(reference)


class TakesAll(Sound):
    def check(self, need, facts):
        return ()


class Fragile(Sound):
    def check(self, need, facts):
        Path(need.text).open().close() if "\0" in need.text else None
        return super().check(need, facts)


class Eager(Sound):
    def check(self, need, facts):
        reasons = super().check(need, facts)
        if not reasons and need.text.endswith("tiny") and need.cache_folder != Path():
            self.resolve(need)
        return reasons


class Shortening(Sound):
    def fetch(self, remote, folder):
        super().fetch(remote, folder)
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])


class Renaming(Sound):
    def resolve(self, reference):
        return ModelFiles(reference="a model", path=super().resolve(reference).path)


class Repeating(Sound):
    def resolve(self, reference):
        shutil.rmtree(reference.cache_folder / "tiny", ignore_errors=True)
        return super().resolve(reference)


class Wandering(Sound):
    def resolve(self, reference):
        path = super().resolve(reference).path
        return ModelFiles(reference=reference.text, path=Path(shutil.copytree(
            path, tempfile.mkdtemp(dir=reference.cache_folder), dirs_exist_ok=True)))  # fmt: skip


class Halfway(Sound):
    def fetch(self, remote, folder):
        folder.mkdir()
        copy(remote, folder)


class Littering(Sound):
    def fetch(self, remote, folder):
        scratch = tempfile.mkdtemp(dir=folder.parent)
        copy(remote, Path(scratch))
        Path(scratch).rename(folder)


class Noting(Sound):
    def missing(self, name, cache):
        (cache / f"{name}.missing").write_text("asked in vain")
        return super().missing(name, cache)


class RawError(Sound):
    def missing(self, name, cache):
        return FileNotFoundError(name)


class Nameless(Sound):
    def missing(self, name, cache):
        return ModelNotFound("there is no such model")


class Racing(Sound):
    """The folder can be seen while it is filled."""

    def fetch(self, remote, folder):
        folder.mkdir()
        time.sleep(0.2)
        copy(remote, folder)
