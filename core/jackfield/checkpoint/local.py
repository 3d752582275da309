"""Model references that are paths on this machine."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from jackfield.decision import Reason
from jackfield.errors import ModelNotFound
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles, ModelReference, ModelSource

_PATH_STARTS = (".", "/", "~", "\\")
_FILE_SUFFIXES = (".gguf", ".safetensors", ".bin", ".pt", ".pth")


class LocalSource(ModelSource):
    """Takes references to existing folders and files, and references that can only be meant as paths."""

    def check(self, need: ModelReference, facts: Facts) -> tuple[Reason, ...]:
        """Refuse references that are neither an existing path nor written like a path."""
        if _exists(_path(need.text)) or _looks_like_path(need.text):
            return ()
        text = f"there is no folder or file {need.text!r} here"
        return (Reason("not_a_path", text, "write a path as ./NAME or give an existing one"),)

    def resolve(self, reference: ModelReference) -> ModelFiles:
        """The files in their place; nothing is copied."""
        path = _path(reference.text)
        if not _exists(path):
            raise ModelNotFound(
                f"there is no folder or file {reference.text!r} (looked for {path.absolute()}); "
                "a model is a folder with config.json and *.safetensors, or a .gguf file. "
                "Check the path"
            )
        if reference.revision is not None:
            raise ModelNotFound(
                f"{reference.text!r} is on this machine and has no revisions, but model.revision is "
                f"{reference.revision!r}; models of a hub have some. Leave model.revision out"
            )
        return ModelFiles(reference=reference.text, path=path)


def _path(text: str) -> Path:
    path = Path(text)
    with suppress(RuntimeError):  # ~NAME for an unknown user
        return path.expanduser()
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no possible name of a file
        return False


def _looks_like_path(text: str) -> bool:
    return text.startswith(_PATH_STARTS) or text.lower().endswith(_FILE_SUFFIXES)
