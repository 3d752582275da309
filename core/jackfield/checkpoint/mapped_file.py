"""A file in memory: mapped read-only, given out as views, and released with the last view."""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path

from jackfield.errors import CheckpointError, ModelNotFound

_POINTER = (
    # Beginning of the small text that stands for a file that was not fetched.
    b"version https://git-lfs"
)


class MappedFile:
    """A read-only map of a whole file. `view` is the buffer; slices of it copy nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self.size = path.stat().st_size  # bytes
                if not self.size:
                    raise CheckpointError(
                        f"{path} is empty (0 bytes); a complete checkpoint file is needed. "
                        "Download it again"
                    )
                if file.read(len(_POINTER)) == _POINTER:
                    raise CheckpointError(
                        f"{path} is a pointer of Git LFS, not the file itself. In its repository run: git lfs pull"
                    )
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise ModelNotFound(
                f"there is no file {path}; an existing checkpoint file is needed. Check the path"
            ) from error
        except OSError as error:
            raise CheckpointError(
                f"cannot read {path}: {error.strerror or error}; a readable file is needed. "
                "Check the path and its permissions"
            ) from error
        self._map: mmap.mmap | None = mapped
        self.view = memoryview(mapped)

    def close(self) -> None:
        """Release the map at once, or with the last buffer that shows it. A second call does nothing."""
        mapped, self._map = self._map, None
        if mapped is None:
            return
        with suppress(BufferError):  # a slice is in use: the map is released with it
            self.view.release()
            mapped.close()
