"""One run of `jackfield quantize`: opens the model, quantises the layers that are left, writes the folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from jackfield.errors import ConfigError
from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield.startup.blueprint import Blueprint
from jackfield_quantize.calibration import calibration_rows, fingerprint
from jackfield_quantize.folder import OutputFolder, check_space
from jackfield_quantize.formats.table import FORMATS
from jackfield_quantize.recipe import WHOLE, Recipe
from jackfield_quantize.stored import StoredModule, read_tensor, stored_modules
from jackfield_quantize.stream import LayerStream
from jackfield_quantize.sweeps import SWEEPS
from jackfield_quantize.task import Made, Task


class Progress(Protocol):
    """Gets reports of progress."""

    def begin(self, words: str, total: int, done: int) -> None:
        """A part of the work begins. It has `total` steps, of which `done` are done."""

    def step(self) -> None:
        """A step is done."""


def quantise(
    blueprint: Blueprint, recipe: Recipe, target: Path, progress: Progress, device: torch.device
) -> OutputFolder:
    """Make the folder `target`. Raises ConfigError, and the errors of opening a model."""
    spec = blueprint.spec
    with blueprint.open_checkpoint() as checkpoint:
        modules = _modules(spec, checkpoint, recipe)
        rows_RL = None
        if recipe.facts.needs_text:
            rows_RL = calibration_rows(
                blueprint.open_tokenizer(), recipe.calibration, recipe.num_rows, recipe.row_length
            )
        check_space(target, _needed_bytes(checkpoint, modules, recipe, rows_RL, spec))
        identity = {
            "model": str(blueprint.files.path.resolve()),
            "recipe": recipe.as_table(),
            "calibration": fingerprint(recipe.calibration) if recipe.facts.needs_text else None,
        }
        folder = OutputFolder(target, identity, len(spec.layers))
        writer = _LayerWriter(checkpoint, modules, recipe, folder)
        task = Task(
            checkpoint=checkpoint,
            spec=spec,
            recipe=recipe,
            folder=folder,
            modules=modules,
            write=writer.write,
            begin=progress.begin,
            step=progress.step,
            rows_RL=rows_RL,
            stream=(
                None if rows_RL is None else LayerStream(checkpoint, spec, device, rows_RL.shape[1])
            ),
        )
        SWEEPS[recipe.scheme](task)
        _finish(blueprint, checkpoint, modules, recipe, folder)
    return folder


def _modules(spec: ModelSpec, checkpoint: Checkpoint, recipe: Recipe) -> list[list[StoredModule]]:
    """The matrices of each layer. Raises ConfigError if one does not fit the recipe."""
    if spec.quantization is not None:
        raise ConfigError(
            f"the model is quantized already, by {spec.quantization.method}. Take the one with plain weights"
        )
    if checkpoint.is_synthetic:
        raise ConfigError("a model without weights cannot be quantised. Name one that has them")
    found = []
    for index in range(len(spec.layers)):
        linears = [name for name in spec.linears if name.startswith(f"layers.{index}.")]
        modules = stored_modules(spec, checkpoint, linears)
        for module in modules:
            recipe.check_shape(module.name, *module.shape)
        found.append(modules)
    return found


class _LayerWriter:
    """Stores the result for a layer in the format of the recipe."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        modules: Sequence[Sequence[StoredModule]],
        recipe: Recipe,
        folder: OutputFolder,
    ) -> None:
        self._modules, self._folder = modules, folder
        self._tensors_of: Callable[[Any], dict[str, Tensor]] = FORMATS[recipe.format].tensors

    def write(self, index: int, made: Made) -> None:
        """Write the file of a layer."""
        tensors: dict[str, Tensor] = dict(made.tensors)
        for module in self._modules[index]:
            whole = made.stored.get(module.name)
            stored = module.placed(made.matrices) if whole is None else whole
            for name, tensor in self._tensors_of(stored).items():
                tensors[f"{module.name}.{name}"] = tensor
        self._folder.write_layer(index, tensors)


def _needed_bytes(
    checkpoint: Checkpoint,
    modules: Sequence[Sequence[StoredModule]],
    recipe: Recipe,
    rows_RL: Tensor | None,
    spec: ModelSpec,
) -> int:
    """Bytes that will be written: codes, scales, all other tensors, and hidden states for a later run."""
    weights = [math.prod(m.shape) for found in modules for m in found]
    replaced = {m.weight.name for found in modules for m in found}
    rest = sum(
        math.prod(info.shape) * info.dtype.itemsize
        for name, info in checkpoint.tensors.items()
        if name not in replaced
    )
    states = 0
    if rows_RL is not None:
        copies = len(spec.layers) + 3 if recipe.scheme == "squeezellm" else 2
        states = copies * rows_RL.numel() * spec.hidden_size * 4
    size = 64 if recipe.group_size == WHOLE else recipe.group_size
    bits = recipe.bits + (32 / size if recipe.facts.is_grouped else 0.5) + 48 * recipe.sparse
    return int(sum(weights) * bits / 8 + states + rest)


def _finish(
    blueprint: Blueprint,
    checkpoint: Checkpoint,
    modules: Sequence[Sequence[StoredModule]],
    recipe: Recipe,
    folder: OutputFolder,
) -> None:
    written = folder.written_names() | {m.weight.name for found in modules for m in found}
    rest = {
        name: read_tensor(checkpoint, info)
        for name, info in checkpoint.tensors.items()
        if name not in written
    }
    config = {
        **checkpoint.config,
        "quantization_config": dict(FORMATS[recipe.format].config(recipe)),
    }
    folder.finish(rest, config, _other_files(blueprint, checkpoint, recipe), blueprint.files)


def _other_files(
    blueprint: Blueprint, checkpoint: Checkpoint, recipe: Recipe
) -> Mapping[str, Mapping[str, Any]]:
    """The JSON files for a source that is a single file and holds their content."""
    found: dict[str, Mapping[str, Any]] = {}
    if checkpoint.generation:
        found["generation_config.json"] = dict(checkpoint.generation)
    if recipe.format == "squeezellm":  # where old readers look
        found["quant_config.json"] = {"wbits": recipe.bits}
    if blueprint.has_tokenizer and not blueprint.files.path.is_dir():
        tokenizer = blueprint.open_tokenizer()
        import json

        backend = getattr(tokenizer, "backend", None)
        if backend is not None:
            found["tokenizer.json"] = json.loads(backend.to_str())
            template = tokenizer.chat_template
            found["tokenizer_config.json"] = {
                "tokenizer_class": "PreTrainedTokenizerFast",
                **({"chat_template": template} if template else {}),
            }
    return found
