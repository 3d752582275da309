"""The card of the weight format."""

from __future__ import annotations

from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.weights import Checkpoint, WeightFormat
from jackfield_gguf.files import model_files, refuse_files


class GgufFormat(WeightFormat):
    """Opens a GGUF file, perhaps in parts, or a folder with one."""

    def check(self, need: ModelFiles, facts: Facts) -> tuple[Reason, ...]:
        """Refuse other files, and folders with no model or several."""
        return refuse_files(need)

    def open(self, files: ModelFiles) -> Checkpoint:
        """Map the file and read its header."""
        from jackfield_gguf.checkpoint import GgufCheckpoint

        return GgufCheckpoint(model_files(files))
