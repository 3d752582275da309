"""Writes a checkpoint in eight bits, one file of the source after another."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jackfield.errors import CheckpointError
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from jackfield_acme_int8.rounding import quantise
from jackfield_acme_int8.scheme import METHOD

_INDEX = "model.safetensors.index.json"
_OF_A_LAYER = re.compile(r"\.\d+\.(?:.+\.)?weight$")  # embeddings and the head have no number
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".gguf", ".index.json")


@dataclass
class Conversion:
    """The result of a conversion."""

    keep: Sequence[str]  # modules with one of these parts in their names are not quantised
    quantised: list[str] = field(default_factory=list)  # names of modules
    kept: list[str] = field(default_factory=list)  # other modules whose weight is a matrix
    files: dict[str, str] = field(default_factory=dict)  # file of each written tensor
    bytes_before: int = 0
    bytes_after: int = 0

    def tensors(self, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The tensors that replace a tensor of the source."""
        module = name.removesuffix(".weight")
        is_matrix = tensor.ndim == 2 and tensor.is_floating_point() and module != name
        is_kept = any(f".{word}." in f".{module}." for word in self.keep)
        if not is_matrix or is_kept or not _OF_A_LAYER.search(name):
            self.kept += [module] * is_matrix
            yield name, tensor
            return
        self.quantised.append(module)
        weight_OI, scale_O1 = quantise(tensor)
        yield name, weight_OI
        yield f"{name}_scale", scale_O1


def convert(source: Path, target: Path, keep: Sequence[str] = ()) -> Conversion:
    """Write `target`, a new folder: `source` with the matrices of its layers in eight bits.

    Raises CheckpointError if `source` is no checkpoint of safetensors or is quantized already, if `target` exists, or
    if nothing would be quantised. In these cases it leaves no files.
    """
    config, files = _open(source)
    if target.exists():
        raise CheckpointError(f"{target} exists already. Remove it, or name another folder")
    done = Conversion(keep)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        folder = Path(scratch, target.name)
        folder.mkdir()
        for path in files:
            _convert_file(path, folder / path.name, done)
        if not done.quantised:
            raise CheckpointError(
                f"{source} has no matrix to quantise: of {len(done.kept)} none is in a numbered layer and not kept "
                f"by {list(keep)}. Keep less, or take another checkpoint"
            )
        _write_rest(source, folder, config, done, is_sharded=len(files) > 1)
        folder.rename(target)
    return done


def _open(source: Path) -> tuple[dict[str, Any], list[Path]]:
    """The config and the weight files."""
    files = sorted(source.glob("*.safetensors"))
    path = source / "config.json"
    if not files or not path.is_file():
        raise CheckpointError(
            f"{source} is no folder with config.json and *.safetensors. Name one that has both"
        )
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON: {error}. Fetch the file again") from error
    if already := config.get("quantization_config"):
        raise CheckpointError(f"{source} is quantized already: {already}. Take the plain model")
    return config, files


def _convert_file(source: Path, target: Path, done: Conversion) -> None:
    tensors: dict[str, Tensor] = {}
    with safe_open(source, framework="pt") as stored:
        for name in stored.keys():  # noqa: SIM118  # no mapping
            tensor = stored.get_tensor(name)
            done.bytes_before += tensor.nbytes
            tensors.update(done.tensors(name, tensor))
    done.bytes_after += sum(tensor.nbytes for tensor in tensors.values())
    done.files.update(dict.fromkeys(tensors, target.name))
    save_file(tensors, target, {"format": "pt"})


def _write_rest(
    source: Path, target: Path, config: dict[str, Any], done: Conversion, *, is_sharded: bool
) -> None:
    # The head is always in this list, because a head that is not in it counts as quantised, even if it is tied.
    plain = sorted({*done.kept, "lm_head"})
    table = {"quant_method": METHOD, "modules_to_not_convert": plain}
    _write_json(target / "config.json", {**config, "quantization_config": table})
    if is_sharded:
        index = {"metadata": {"total_size": done.bytes_after}, "weight_map": done.files}
        _write_json(target / _INDEX, index)
    for path in source.iterdir():  # tokenizer, chat template, generation defaults, licence
        is_other = path.name != "config.json" and not path.name.endswith(_WEIGHTS)
        if path.is_file() and is_other:
            shutil.copy2(path, target)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
