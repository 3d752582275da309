"""A checkpoint with the parameter names of Transformers' code, converted as Transformers does while loading."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    rename_source_key,
)

from jackfield.errors import CheckpointError
from jackfield.interfaces.weights import Checkpoint, TensorInfo
from jackfield_torch.dtypes import torch_dtype

_PLAIN = ("float64", "float32", "float16", "bfloat16")


class ConvertedCheckpoint(Checkpoint):
    """Tensors with only another name are read unchanged. Others are made from several tensors when one of them is read."""

    def __init__(self, stored: Checkpoint, model: Any, linears: Collection[str] = ()) -> None:
        """`linears`: places of modules whose weights a scheme reads, in any type. Raises CheckpointError."""
        self._stored, self._model = stored, model
        wanted = model.state_dict()
        transforms = get_model_conversion_mapping(model)
        self._renamings = [t for t in transforms if isinstance(t, WeightRenaming)]
        self._converters = [t for t in transforms if isinstance(t, WeightConverter)]
        self._patterns = {p: c for c in self._converters for p in c.source_patterns}
        self._names: dict[str, str] = {}  # for plain tensors: wanted name -> stored name
        # For the others: name of a group that is made together -> stored names and their patterns.
        self._made_of: dict[str, list[tuple[str, str]]] = defaultdict(list)
        ignored = [
            re.compile(p) for p in getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
        ]
        for name in sorted(stored.tensors, key=_natural):
            target, pattern = rename_source_key(
                name, self._renamings, self._converters, model.base_model_prefix, wanted
            )
            if target.rpartition(".")[0] not in linears:
                _check_plain(stored.tensors[name], wanted.get(target))
            if pattern is not None:
                self._made_of[target].append((name, pattern))
            elif not any(p.search(target) for p in ignored):
                self._names[target] = name
        self._tensors = {
            target: TensorInfo(target, info.dtype, info.shape, info.file)
            for target, name in self._names.items()
            for info in [stored.tensors[name]]
        }
        self._groups: dict[str, str] = {}  # for a made tensor: name of its group
        self._cache: dict[str, Tensor] = {}
        for group, parts in self._made_of.items():
            for target in self._targets(group, parts, wanted):
                info = stored.tensors[parts[0][0]]
                self._groups[target] = group
                self._tensors[target] = TensorInfo(
                    target, info.dtype, tuple(wanted[target].shape), info.file
                )

    @property
    def is_synthetic(self) -> bool:
        """As for the stored checkpoint."""
        return self._stored.is_synthetic

    @property
    def config(self) -> Mapping[str, Any]:
        """The stored checkpoint's config."""
        return self._stored.config

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Tensors by the names of the code's parameters and buffers."""
        return self._tensors

    def read(self, name: str) -> memoryview:
        """See Checkpoint."""
        if name in self._names:
            return self._stored.read(self._names[name])
        if name not in self._cache:
            self._make(self._groups[name])
        tensor = self._cache.pop(name)
        array: Any = tensor.contiguous().view(torch.uint8).flatten().numpy()
        return memoryview(array)

    def close(self) -> None:
        """Close the stored checkpoint."""
        self._cache.clear()
        self._stored.close()

    def _targets(
        self, group: str, parts: list[tuple[str, str]], wanted: Mapping[str, Any]
    ) -> list[str]:
        """The tensors that are made together: the group's name, with each target of its converter instead of the first."""
        converter = self._patterns[parts[0][1]]
        first, *others = converter.target_patterns
        names = [group, *(group.replace(first, other) for other in others)]
        return [name for name in names if name in wanted]

    def _make(self, group: str) -> None:
        parts = self._made_of[group]
        converter: Any = deepcopy(self._patterns[parts[0][1]])
        for name, pattern in parts:
            converter.add_tensor(group, name, pattern, self._read_stored(name))
        try:
            made = converter.convert(group, model=self._model, config=self._model.config)
        except Exception as error:
            names = ", ".join(name for name, _ in parts[:4])
            raise CheckpointError(
                f"{group} cannot be made of {len(parts)} tensors of the checkpoint ({names}, ...): {error}. "
                "Check that all its files are there and that the config belongs to it"
            ) from error
        for name, tensor in made.items():
            self._cache[name] = tensor[0] if isinstance(tensor, list) else tensor

    def _read_stored(self, name: str) -> Tensor:
        info = self._stored.tensors[name]
        data = bytearray(self._stored.read(name))
        return torch.frombuffer(data, dtype=torch_dtype(info.dtype)).reshape(info.shape)


def _check_plain(info: TensorInfo, wanted: Any) -> None:
    """Raise CheckpointError for numbers that mean nothing without their scales."""
    if wanted is None or not wanted.is_floating_point() or info.dtype.name in _PLAIN:
        return
    raise CheckpointError(
        f"{info.name} is stored as {info.dtype.name}, and is multiplied by Transformers' code, which reads plain weights "
        "alone. Take a checkpoint that leaves it plain"
    )


def _natural(name: str) -> list[Any]:
    """Sorts numbers in names by value, which is the order in which experts are stacked."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
