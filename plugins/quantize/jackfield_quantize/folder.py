"""The checkpoint that is written: a hidden folder beside its final place, which gets its name when it is whole.

Each layer is a file of its own, written under another name and then renamed, so whatever is there is whole. What a later
run needs to go on (hidden states, gradients) stands in `progress`. Only `finish` makes the folder visible.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from jackfield.errors import ConfigError
from jackfield.interfaces.model_source import ModelFiles

_STATE = "state.json"
_PROGRESS = "progress"
_INDEX = "model.safetensors.index.json"
_WEIGHTS = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".h5",
    ".gguf",
    ".msgpack",
    ".onnx",
    ".index.json",
)
_OWN = ("config.json", "quantize_config.json", "quant_config.json")


class OutputFolder:
    """The files of one run. Raises ConfigError if the target exists, or if an unfinished run has another recipe."""

    def __init__(self, target: Path, identity: Mapping[str, Any], num_layers: int) -> None:
        """`identity`: values that must be equal if a later run is to continue with the files of this one."""
        if target.exists():
            raise ConfigError(f"{target} exists already. Remove it, or name another folder with -o")
        self._target = target
        self._work = _work_folder(target)
        self._num_files = num_layers + 1
        self.is_resumed = (self._work / _STATE).exists()
        if self.is_resumed:
            self._check(identity)
        else:
            with self._writes():
                # A run that was killed while it began or ended left files whose recipe is not known.
                shutil.rmtree(self._work, ignore_errors=True)
                (self._work / _PROGRESS).mkdir(parents=True)
                self._write_json(_STATE, identity)

    def layers(self) -> set[int]:
        """The layers that are written."""
        return {i for i in range(self._num_files - 1) if self._shard(i + 1).exists()}

    def write_layer(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the tensors of a layer under their names in the checkpoint."""
        self._save(self._shard(index + 1), tensors)

    def keep(self, name: str, tensors: Mapping[str, Tensor], **notes: str) -> None:
        """Keep tensors for a later run. They replace those of the same name."""
        self._save(self._work / _PROGRESS / f"{name}.safetensors", tensors, notes)

    def kept(self, name: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Tensors and notes of an earlier run."""
        path = self._work / _PROGRESS / f"{name}.safetensors"
        if not path.exists():
            return None
        with safe_open(path, framework="pt") as opened:
            notes = opened.metadata() or {}
        return load_file(path), notes

    def drop(self, name: str) -> None:
        """Delete tensors that no later run needs."""
        (self._work / _PROGRESS / f"{name}.safetensors").unlink(missing_ok=True)

    def written_names(self) -> set[str]:
        """The names of the tensors in the files of the layers."""
        return {name for index in self.layers() for name in _names(self._shard(index + 1))}

    def finish(
        self,
        rest: Mapping[str, Tensor],
        config: Mapping[str, Any],
        others: Mapping[str, Mapping[str, Any]],
        source: ModelFiles,
    ) -> None:
        """Write the other tensors, the configs, and the other files of the source; then give the folder its name.

        `others`: further JSON files by name, unless the source has such a file.
        """
        self._save(self._shard(self._num_files), rest)
        with self._writes():
            places, size = {}, 0
            for number in range(1, self._num_files + 1):
                path = self._shard(number)
                places.update(dict.fromkeys(_names(path), path.name))
                size += path.stat().st_size
            index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}
            self._write_json(_INDEX, index)
            self._write_json("config.json", config)
            self._copy(source)
            for name, content in others.items():
                if not (self._work / name).exists():
                    self._write_json(name, content)
            shutil.rmtree(self._work / _PROGRESS)
            (self._work / _STATE).unlink()
            self._work.rename(self._target)

    def _check(self, identity: Mapping[str, Any]) -> None:
        found = json.loads((self._work / _STATE).read_text())
        for key, value in json.loads(json.dumps(identity)).items():
            if found.get(key) != value:
                raise ConfigError(
                    f"{self._work} holds an unfinished run with {key} {found.get(key)!r}, this one has {value!r}. "
                    "Run with the same options to go on with it, or remove that folder"
                )

    def _copy(self, source: ModelFiles) -> None:
        """Copy tokenizer, chat template, generation defaults, licence and code."""
        if source.path.is_dir():
            for path in sorted(source.path.iterdir()):
                if path.is_file() and path.name not in _OWN and not path.name.endswith(_WEIGHTS):
                    shutil.copyfile(path, self._work / path.name)

    def _shard(self, number: int) -> Path:
        return self._work / f"model-{number:05}-of-{self._num_files:05}.safetensors"

    def _save(
        self, path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None
    ) -> None:
        with self._writes():
            scratch = path.with_suffix(".part")
            contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
            save_file(contiguous, scratch, {"format": "pt", **(notes or {})})
            scratch.rename(path)

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        scratch = self._work / f"{name}.part"
        scratch.write_text(json.dumps(content, indent=2) + "\n")
        scratch.rename(self._work / name)

    @contextmanager
    def _writes(self) -> Iterator[None]:
        """Raises ConfigError if the disk is full or must not be written."""
        try:
            yield
        except Exception as error:
            # The library of safetensors reports a full disk only by the text of its error.
            if isinstance(error, OSError) or "os error" in str(error).lower():
                is_full = getattr(error, "errno", None) == errno.ENOSPC or "28" in str(error)
                way_out = "Free some space" if is_full else "Choose another folder with -o"
                raise ConfigError(
                    f"{self._work} cannot be written: {error}. {way_out}; finished layers are kept, and the same command "
                    "goes on after them"
                ) from error
            raise


def check_space(target: Path, needed_bytes: int) -> None:
    """Raise ConfigError before anything is computed if the disk is too small. The files of an unfinished run count as free."""
    there = next(path for path in target.absolute().parents if path.exists())
    work = _work_folder(target)
    written = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    free = shutil.disk_usage(there).free + written
    if free < needed_bytes:
        raise ConfigError(
            f"the disk of {there} has {free / 1e9:.1f} GB left, and this needs about {needed_bytes / 1e9:.1f} GB. "
            "Free some, or name a folder on another disk with -o"
        )


def _work_folder(target: Path) -> Path:
    return target.with_name(f".{target.name}-unfinished")


def _names(path: Path) -> list[str]:
    with safe_open(path, framework="pt") as opened:
        return list(opened.keys())
