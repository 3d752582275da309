"""Reads tensors of a checkpoint into parameters, one at a time, so that the model is never held twice."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from jackfield.config import EngineConfig
from jackfield.errors import CheckpointError
from jackfield.interfaces.weights import Checkpoint, TensorInfo
from jackfield.model_spec import Entry, ModelSpec, ModuleSource, Split, SplitGroups, Transform
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.transforms import apply_transforms

_LOG = logging.getLogger(__name__)
# Buffers that older releases of Transformers saved with the weights: masks and rotary frequencies.
_IGNORABLE = (
    ".rotary_emb.inv_freq",
    ".attn.bias",
    ".attn.masked_bias",
    "embeddings.position_ids",
    "embeddings.token_type_ids",
)
_NAMES_SHOWN = 5
# Transforms that use only a part of a tensor; other modules use the rest.
_PARTS = (Split, SplitGroups)


class ModelWeights(ABC):
    """The parameters of logical modules, from any source."""

    @abstractmethod
    def has(self, module: str, parameter: str) -> bool:
        """True if the module has that parameter."""

    @abstractmethod
    def read(self, module: str, parameter: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """A tensor in memory of its own, as stored but with transforms undone; of `shape`, unless that is None.

        If a module is itself a tensor, its parameter is "". Raises CheckpointError that names file, tensor, expected
        and found shape.
        """

    def read_stored(self, module: str, parameter: str) -> Tensor:
        """A tensor in memory of its own, as stored; transforms are not undone. Raises CheckpointError."""
        return self.read(module, parameter)

    def transforms(self, module: str) -> tuple[Transform, ...]:
        """The transforms that `read` undoes for that module."""
        return ()

    def norm_weight(self, module: str, size: int, fill: float) -> Tensor:
        """The weight of a norm in float32. With `fill` the norm is neutral."""
        return self.read(module, "weight", (size,)).float()

    def norm_bias(self, module: str, size: int) -> Tensor:
        """The bias of a norm in float32."""
        return self.read(module, "bias", (size,)).float()

    def leave(self, modules: Iterable[str]) -> None:
        """Note that another rank reads these modules."""

    def finish(self) -> None:
        """Called when everything was read."""


class CheckpointWeights(ModelWeights):
    """Parameters from an open checkpoint."""

    def __init__(self, checkpoint: Checkpoint, spec: ModelSpec) -> None:
        """`checkpoint` has the names of the spec; for foreign code see `shown_checkpoint`."""
        self._checkpoint = checkpoint
        self._spec = spec
        self._used: set[str] = set()
        # For tensors that are split, and for their entries: the number of elements read by each module.
        self._taken: dict[tuple[str, int | None], dict[str, int]] = {}
        # The tensor of all experts that was read last.
        self._stacked: tuple[str, memoryview] | None = None

    def has(self, module: str, parameter: str) -> bool:
        return self._find(self._source(module), parameter) is not None

    def read(self, module: str, parameter: str, shape: tuple[int, ...] | None = None) -> Tensor:
        transforms = self._source(module).transforms
        info = self._take(module, parameter, shape)
        first = transforms[0] if transforms else None
        entry = first if isinstance(first, Entry) else None
        try:
            stored = self._copy(info) if entry is None else self._copy_entry(info, entry)
            tensor = apply_transforms(stored, transforms if entry is None else transforms[1:])
        except ValueError as error:
            raise _mismatch(info, module, shape, str(error)) from error
        if shape is not None and tuple(tensor.shape) != shape:
            found = "" if not transforms else f"that gives {tuple(tensor.shape)}"
            raise _mismatch(info, module, shape, found)
        if any(isinstance(transform, _PARTS) for transform in transforms):
            place = (info.name, entry.index if entry else None)
            self._taken.setdefault(place, {})[module] = tensor.numel()
        return tensor

    def read_stored(self, module: str, parameter: str) -> Tensor:
        info = self._take(module, parameter, None)
        for entry in self._source(module).transforms:
            # No packing spans entries: each entry belongs to one module.
            if isinstance(entry, Entry):
                return self._copy_entry(info, entry)
        return self._copy(info)

    def transforms(self, module: str) -> tuple[Transform, ...]:
        found = self._source(module).transforms
        return tuple(transform for transform in found if not isinstance(transform, Entry))

    def leave(self, modules: Iterable[str]) -> None:
        prefixes = [self._source(module).prefix for module in modules]
        owners = {*prefixes, *(prefix.partition(".")[2] for prefix in prefixes)}
        tensors = self._checkpoint.tensors
        self._used.update(name for name in tensors if name.rpartition(".")[0] in owners)

    def finish(self) -> None:
        """Warn once of tensors that were not read: the spec may be that of another model.

        Raises CheckpointError if only some parts of a tensor were read.
        """
        self._stacked = None
        for (name, entry), taken in self._taken.items():
            info = self._checkpoint.tensors[name]
            if sum(taken.values()) < math.prod(info.shape if entry is None else info.shape[1:]):
                raise _mismatch(info, ", ".join(taken), None, "of which a part has no place")
        tied = self._spec.tied_head
        left = [
            name
            for name in self._checkpoint.tensors
            if name not in self._used
            and not name.endswith(_IGNORABLE)
            and not name.startswith(self._spec.other_heads)
            and not (tied and name.startswith("lm_head."))
        ]
        if left:
            more = f" and {len(left) - _NAMES_SHOWN} more" if len(left) > _NAMES_SHOWN else ""
            _LOG.warning(
                "%d tensors of the checkpoint have no place in %s and were not used: %s%s",
                len(left), self._spec.architecture, ", ".join(left[:_NAMES_SHOWN]), more,
            )  # fmt: skip

    def _source(self, module: str) -> ModuleSource:
        try:
            return self._spec.source(module)
        except KeyError:
            raise CheckpointError(
                f"the spec of {self._spec.architecture} does not say where {module} stands in the "
                f"checkpoint; its table `modules` has {', '.join(sorted(self._spec.modules))}. "
                "Add the module to the table of the model plugin."
            ) from None

    def _take(self, module: str, parameter: str, shape: tuple[int, ...] | None) -> TensorInfo:
        """The tensor of a parameter, marked as used."""
        source = self._source(module)
        info = self._find(source, parameter)
        if info is None:
            raise self._missing(module, source.name(parameter), shape)
        self._used.add(info.name)
        if info.name in self._checkpoint.packed:
            self._used.add(info.name.rpartition(".")[0])  # holds the same weights
        return info

    def _find(self, source: ModuleSource, parameter: str) -> TensorInfo | None:
        """The tensor with the full name, or without the name's first part: checkpoints of a bare base model lack it."""
        name = source.name(parameter)
        tensors, packed = self._checkpoint.tensors, self._checkpoint.packed
        return tensors.get(name) or tensors.get(name.partition(".")[2]) or packed.get(name)

    def _copy(self, info: TensorInfo) -> Tensor:
        """The tensor in memory of its own. It is copied if the checkpoint gives a read-only map, which is closed soon."""
        view = self._view(info)
        return tensor_of(view, info, info.shape, copy=view.readonly)

    def _copy_entry(self, info: TensorInfo, entry: Entry) -> Tensor:
        """One entry of axis 0, without the others. Raises ValueError if it does not exist."""
        count = info.shape[0] if info.shape else 0
        if entry.index >= count or entry.count not in (None, count):
            raise ValueError(f"that holds {count} entries, not {entry.count or entry.index + 1}")
        stacked = self._stacked  # of this thread: several threads build layers
        if stacked is None or stacked[0] != info.name:
            # A format may unpack it, so it is kept.
            stacked = self._stacked = info.name, self._view(info)
        view = stacked[1].cast("B")
        size = view.nbytes // count
        part = view[entry.index * size : (entry.index + 1) * size]
        return tensor_of(part, info, info.shape[1:], copy=True)

    def _view(self, info: TensorInfo) -> memoryview:
        view = self._checkpoint.read(info.name)
        expected = math.prod(info.shape) * info.dtype.itemsize
        if view.nbytes != expected:
            raise CheckpointError(
                f"tensor {info.name!r} in {info.file} holds {view.nbytes} bytes; its shape {info.shape} "
                f"of {info.dtype} needs {expected}. Fetch the file again."
            )
        return view

    def _missing(self, module: str, name: str, shape: tuple[int, ...] | None) -> CheckpointError:
        tensors = self._checkpoint.tensors
        files = sorted({info.file for info in tensors.values()})
        wanted = f" of shape {shape}" if shape else ""
        return CheckpointError(
            f"tensor {name!r}{wanted} is missing, which {module} of {self._spec.architecture} needs; "
            f"found {len(tensors)} tensors in {', '.join(files) or 'no file'}. "
            "Check that all files of the checkpoint are there and that its config is its own."
        )


class RandomWeights(ModelWeights):
    """Normal weights by seed, for a checkpoint without weights. Every rank draws the same whole tensors."""

    def __init__(self, seed: int, device: torch.device, std: float = 0.02) -> None:
        self._seed = seed
        self._device = device
        self._std = std

    def has(self, module: str, parameter: str) -> bool:
        return parameter in ("weight", "bias")

    def read(self, module: str, parameter: str, shape: tuple[int, ...] | None = None) -> Tensor:
        if shape is None:
            raise CheckpointError(
                f"{module}.{parameter} cannot be drawn at random, since only weights and biases have a known "
                "shape; dummy weights need the unquantized scheme: set select.quantization = 'unquantized'"
            )
        name = f"{self._seed}:{module}.{parameter}"
        generator = torch.Generator(self._device).manual_seed(_stable_hash(name))
        tensor = torch.empty(shape, device=self._device)
        return tensor.normal_(0.0, self._std, generator=generator)

    def norm_weight(self, module: str, size: int, fill: float) -> Tensor:
        return torch.full((size,), fill)


class WeightShard:
    """The LinearShard of one rank, through which quantization schemes read."""

    def __init__(
        self,
        weights: ModelWeights,
        rank: int,
        num_ranks: int,
        device: torch.device,
        dtype: torch.dtype,
        config: EngineConfig | None = None,
    ) -> None:
        self._weights = weights
        self.rank, self.num_ranks = rank, num_ranks
        self.device, self.dtype = device, dtype
        self.config = config or EngineConfig()
        self._tables: dict[str, Tensor] = {}
        self._stored_as: dict[str, str] = {}  # the module whose table a linear shares

    def read(self, part: LinearPart, parameter: str) -> Tensor:
        """See LinearShard. A table that is also the head is returned in its final form, so that it can be shared."""
        if parameter == "weight" and part.name in self._tables:
            return self._tables[part.name]
        shapes = {"weight": (part.out_size, part.in_size), "bias": (part.out_size,)}
        return self._weights.read(part.name, parameter, shapes.get(parameter))

    def read_stored(self, part: LinearPart, parameter: str) -> Tensor:
        return self._weights.read_stored(self._module(part), parameter)

    def transforms(self, part: LinearPart) -> tuple[Transform, ...]:
        return self._weights.transforms(self._module(part))

    def has(self, part: LinearPart, parameter: str) -> bool:
        return self._weights.has(self._module(part), parameter)

    def cut(self, whole: Tensor, axis: int, copies: int = 1) -> Tensor:
        shares = self.num_ranks // copies
        if whole.shape[axis] % shares:
            raise CheckpointError(
                f"axis {axis} of a tensor of shape {tuple(whole.shape)} cannot be cut into {shares} equal shares; "
                "set executor.tensor_parallel to a number that divides it"
            )
        size = whole.shape[axis] // shares
        return whole.narrow(axis, self.rank // copies * size, size)

    def table(
        self, module: str, num_rows: int, size: int, *, shared_as: str | None = None
    ) -> Tensor:
        """A look-up table in the activations' dtype, whole on every rank. `shared_as`: the linear that shares the table."""
        table = self._weights.read(module, "weight", (num_rows, size))
        table = table.to(self.device, self.dtype).contiguous()
        if shared_as is not None:
            self._tables[shared_as] = table
            self._stored_as[shared_as] = module
        return table

    def share(self, linear: str, table: Tensor) -> None:
        """Let a linear use a table in its final form, which is held elsewhere too."""
        self._tables[linear] = table

    def whole(self, module: str, parameter: str, shape: tuple[int, ...]) -> Tensor:
        """A parameter that every rank holds whole, in float32."""
        return self._weights.read(module, parameter, shape).to(self.device, torch.float32)

    def leave(self, modules: Iterable[str]) -> None:
        """Note that another rank reads these modules."""
        self._weights.leave(modules)

    def number(self, module: str) -> float:
        """A module that is a single number, whole on every rank. Raises CheckpointError if it has several."""
        whole = self._weights.read(module, "")
        if whole.numel() != 1:
            raise CheckpointError(
                f"{module} has {whole.numel()} numbers, shape {tuple(whole.shape)}; one is read, of the whole layer. "
                "Set cache.dtype to the dtype of the model, which needs none"
            )
        return float(whole.float())

    def sinks(self, module: str, num_heads: int) -> Tensor:
        """The learned score of each head of this rank, in float32."""
        whole = self._weights.read(module, "", (num_heads,))
        return self.cut(whole, 0).to(self.device, torch.float32)

    def _module(self, part: LinearPart) -> str:
        return self._stored_as.get(part.name, part.name)


def tensor_of(view: memoryview, info: TensorInfo, shape: tuple[int, ...], *, copy: bool) -> Tensor:
    """A tensor of the bytes, or of a copy of them. Without a copy, the memory belongs to us (see Checkpoint.read)."""
    if copy:
        tensor = torch.empty(view.nbytes, dtype=torch.uint8)
        tensor.numpy()[:] = np.frombuffer(view, np.uint8)
    else:
        tensor = torch.from_numpy(np.frombuffer(view, np.uint8))
    return tensor.view(torch_dtype(info.dtype)).reshape(shape)


def _mismatch(
    info: TensorInfo, module: str, shape: tuple[int, ...] | None, found: str
) -> CheckpointError:
    detail = f" ({found})" if found else ""
    wanted = shape or "no more than the parts"
    return CheckpointError(
        f"tensor {info.name!r} in {info.file} has shape {info.shape}{detail}; expected {wanted} for {module}. "
        "Check that the config belongs to this checkpoint."
    )


def _stable_hash(text: str) -> int:
    """A 63-bit hash that is the same in every process."""
    value = 14695981039346656037  # FNV-1a
    for byte in text.encode():
        value = (value ^ byte) * 1099511628211 % 2**64
    return value >> 1
