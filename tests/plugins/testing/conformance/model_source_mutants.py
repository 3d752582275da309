"""Model sources with one planted fault each. They fetch `shelf:NAME` from the folder `remote` beside their cache."""

import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from jackfield.decision import Reason
from jackfield.errors import CheckpointError, ModelNotFound
from jackfield.interfaces.model_source import ModelFiles, ModelSource

PAUSE_S = 0.1  # between the files of a slow model

_lock = threading.Lock()


def copy(remote, folder):
    is_slow = (remote / "slow").exists()
    for path in sorted(remote.rglob("*")):
        time.sleep(PAUSE_S if is_slow else 0)
        if path.name == "cut":
            raise CheckpointError(f"{remote.name} was cut off")
        target = folder / path.relative_to(remote)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


class Sound(ModelSource):
    def check(self, need, facts):
        taken = need.text.startswith("shelf:")
        return () if taken else (Reason("form", f"{need.text!r} does not begin with shelf:"),)

    def resolve(self, reference):
        cache, name = reference.cache_folder, reference.text.removeprefix("shelf:")
        name = f"{name}@{reference.revision}" if reference.revision else name
        remote, folder = cache.parent / "remote" / name, cache / name
        if not folder.is_dir():
            if not remote.is_dir():
                raise self.missing(name, cache)
            self.fetch(remote, folder)
        return ModelFiles(reference=reference.text, path=folder)

    def missing(self, name, cache):
        return ModelNotFound(f"the shelf has no model {name!r}")

    def fetch(self, remote, folder):
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            whole = Path(scratch) / "model"
            copy(remote, whole)
            with suppress(OSError):  # another was faster
                whole.rename(folder)


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


class Repeating(Sound):
    def resolve(self, reference):
        shutil.rmtree(reference.cache_folder / "tiny", ignore_errors=True)
        return super().resolve(reference)


class Halfway(Sound):
    def fetch(self, remote, folder):
        folder.mkdir()
        copy(remote, folder)


class Littering(Sound):
    def fetch(self, remote, folder):
        scratch = tempfile.mkdtemp(dir=folder.parent)
        copy(remote, Path(scratch))
        Path(scratch).rename(folder)


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


class FirstRevision(Sound):
    """What was fetched first is what every revision gets, if it is there at all."""

    def resolve(self, reference):
        plain = reference.cache_folder / reference.text.removeprefix("shelf:")
        files = super().resolve(reference)
        return ModelFiles(reference=files.reference, path=plain) if plain.is_dir() else files


class ThreadsOnly(Sound):
    """Other processes see a folder that fills."""

    def fetch(self, remote, folder):
        with _lock:
            if not folder.is_dir():
                copy(remote, folder)


class KilledHalfway(Sound):
    """Cleans up after exceptions, and who is killed raises none."""

    def fetch(self, remote, folder):
        folder.mkdir()
        try:
            copy(remote, folder)
        except BaseException:
            shutil.rmtree(folder)
            raise


class Interrupted(Sound):
    """Cleans up after exceptions, of which Ctrl-C is none."""

    def fetch(self, remote, folder):
        scratch = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            copy(remote, scratch)
        except Exception:
            shutil.rmtree(scratch)
            raise
        scratch.rename(folder)


class LeavesTemporary(Sound):
    def fetch(self, remote, folder):
        (Path(tempfile.mkdtemp()) / "part").write_text("half")
        super().fetch(remote, folder)


class SetsProxy(Sound):
    def resolve(self, reference):
        os.environ["SHELF_PROXY"] = "http://shelf"
        return super().resolve(reference)
