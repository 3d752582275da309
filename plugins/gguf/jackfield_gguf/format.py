"""The card of the weight format: which files it opens."""

from __future__ import annotations

from pathlib import Path

from jackfield.decision import Reason
from jackfield.errors import CheckpointError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.weights import Checkpoint, WeightFormat


class GgufFormat(WeightFormat):
    """Opens a .gguf file, or a folder with one."""

    def check(self, need: ModelFiles, facts: Facts) -> tuple[Reason, ...]:
        """Refuse what is no .gguf file, and folders with none or several."""
        return refuse_files(need)

    def open(self, files: ModelFiles) -> Checkpoint:
        """Map the file and read its header."""
        from jackfield_gguf.checkpoint import GgufCheckpoint

        return GgufCheckpoint(only_file(files))


def refuse_files(files: ModelFiles) -> tuple[Reason, ...]:
    """Why these files are not one GGUF file."""
    found = files.glob("*.gguf")
    if not found:
        text = f"{files.path} is no .gguf file and holds none"
        return (Reason("no_gguf", text, "name a .gguf file, or a folder with one"),)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        text = f"{files.path} holds several .gguf files: {names}"
        return (Reason("several_gguf", text, "name the file, not its folder"),)
    return ()


def only_file(files: ModelFiles) -> Path:
    """The one GGUF file. Raises CheckpointError."""
    reasons = refuse_files(files)
    if reasons:
        raise CheckpointError(f"cannot open {files.reference!r} as GGUF: {reasons[0]}")
    return files.glob("*.gguf")[0]
