"""The inputs of a sweep through a model, and its result for a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield_quantize.folder import OutputFolder
from jackfield_quantize.matrices import Matrix
from jackfield_quantize.recipe import WHOLE, Recipe
from jackfield_quantize.stored import StoredModule
from jackfield_quantize.stream import LayerStream


@dataclass(slots=True)
class Made:
    """The result for a layer."""

    matrices: dict[str, Matrix] = field(default_factory=dict)  # by logical linear
    stored: dict[str, Matrix | Tensor] = field(
        default_factory=dict
    )  # by module of the checkpoint, instead
    tensors: dict[str, Tensor] = field(default_factory=dict)  # others that changed, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The model, the recipe, the files, and functions that report progress."""

    checkpoint: Checkpoint
    spec: ModelSpec
    recipe: Recipe
    folder: OutputFolder
    modules: Sequence[Sequence[StoredModule]]  # the matrices of each layer
    write: Callable[[int, Made], None]
    begin: Callable[[str, int, int], None]  # words, steps, steps done
    step: Callable[[], None]
    rows_RL: Tensor | None  # of calibration
    stream: LayerStream | None

    @property
    def num_layers(self) -> int:
        """Number of layers of the model."""
        return len(self.spec.layers)


def group_size(recipe: Recipe, weight_OI: Tensor) -> int:
    """The number of inputs that share a scale."""
    return weight_OI.shape[1] if recipe.group_size == WHOLE else recipe.group_size
