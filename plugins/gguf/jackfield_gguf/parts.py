"""A model in one file or several parts, read as one file: the metadata of the first part, the tensors of all."""

from __future__ import annotations

from jackfield.errors import CheckpointError
from jackfield_gguf.files import GgufFiles
from jackfield_gguf.reader import GgufFile, GgufTensor


class GgufModel(GgufFile):
    """All parts as one file. The first part states their number (split.count)."""

    def __init__(self, files: GgufFiles) -> None:
        self._parts: dict[str, GgufFile] = {}  # by tensor, for those outside the first part
        super().__init__(files.first)
        try:
            self._check_count(len(files.paths))
            for path in files.paths[1:]:
                self._add(GgufFile(path))
        except BaseException:
            self.close()
            raise

    def data(self, tensor: GgufTensor) -> memoryview:
        """The stored bytes of a tensor: a read-only view of its part's map."""
        part = self._parts.get(tensor.name)
        return super().data(tensor) if part is None else part.data(tensor)

    def close(self) -> None:
        """Release all maps."""
        super().close()
        for part in self._parts.values():
            part.close()

    def _check_count(self, found: int) -> None:
        count = self.get("split.count", 1)
        if count > 1 and count != found:
            raise CheckpointError(
                f"{self.path} is one of {count} parts of a model, which are called NAME-00001-of-{count:05}.gguf "
                "and so on; this name says something else. Give all parts their names back, in one folder"
            )

    def _add(self, part: GgufFile) -> None:
        self._parts |= {name: part for name in part.tensors if name not in self.tensors}
        for name, tensor in part.tensors.items():
            if name in self.tensors:
                raise CheckpointError(
                    f"tensor {name!r} stands in {part.path} and in a part before it; each must stand in "
                    "one part. Download the parts again"
                )
            self.tensors[name] = tensor
