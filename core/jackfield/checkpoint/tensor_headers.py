"""Finds from the headers of tensors how linears are stored: names, element types, shapes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.weights import TensorInfo
from jackfield.model_spec import Entry, ModelSpec, ModuleSource, Split, SplitGroups
from jackfield.stored_linear import StoredLinear, StoredTensor

_PLAIN_TYPES = ("float64", "float32", "float16", "bfloat16")
_PACKED = {"qweight", "weight_packed", "_weight_qdata"}
_PARTS = (Split, SplitGroups)  # the tensor holds the outputs of several linears


def read_stored(
    spec: ModelSpec, modules: Iterable[str], headers: TensorHeaders
) -> dict[str, StoredLinear]:
    """The tensors of these modules. Modules that are stored alike share one object."""
    shapes, found = spec.shapes, {}
    alike: dict[object, StoredLinear] = {}
    for module in modules:
        source = _source(module, spec)
        tensors = headers.tensors_of(source)
        if not tensors and spec.foreign is not None:
            continue  # only the foreign code knows its name
        out_size, in_size = shapes.get(module, (None, None))
        if any(isinstance(transform, _PARTS) for transform in source.transforms):
            out_size = None
        key = out_size, in_size, *tensors.items()
        if key not in alike:
            alike[key] = StoredLinear(
                name=module, in_size=in_size, out_size=out_size, tensors=tensors
            )
        found[module] = alike[key]
    return found


def _source(module: str, spec: ModelSpec) -> ModuleSource:
    try:
        return spec.source(module)
    except KeyError:
        return ModuleSource(module)


class TensorHeaders:
    """Finds from names and types of stored tensors how linears are stored."""

    def __init__(self, tensors: Mapping[str, TensorInfo]) -> None:
        self._tensors = tensors
        self._names = sorted(tensors)

    def is_plain(self, name: str) -> bool | None:
        """True if the weight of that module is a float; None if there is no such module."""
        # Names of a bare base model lack the first part.
        for prefix in (name, name.partition(".")[2]):
            found = self._of(prefix) if prefix else []
            if found:
                weight = self._tensors.get(f"{prefix}.weight")
                return weight is not None and weight.dtype.name in _PLAIN_TYPES
        return None

    def tensors_of(self, source: ModuleSource) -> dict[str, StoredTensor]:
        """The tensors of a module by parameter, without its bias; of a tensor of all experts, what one expert has."""
        is_entry = any(isinstance(transform, Entry) for transform in source.transforms)
        for prefix in (source.prefix, source.prefix.partition(".")[2]):
            if not prefix:
                continue
            names = self._beginning(f"{prefix}_") if source.is_weight else self._of(prefix)
            infos = {name[len(prefix) + 1 :]: self._tensors[name] for name in names}
            if source.is_weight and prefix in self._tensors:
                infos["weight"] = self._tensors[prefix]
            if infos:
                return {
                    parameter: StoredTensor(info.dtype, info.shape[1:] if is_entry else info.shape)
                    for parameter, info in infos.items()
                    if parameter != "bias"
                }
        return {}

    def table(self, names: Iterable[str]) -> Mapping[str, Any] | None:
        """The method of a checkpoint whose producer writes no config of it. Raises UnsupportedModelError."""
        for name in names:
            parameters = {found.rpartition(".")[2] for found in self._of(name)}
            if {"lookup_table", "qweight"} <= parameters:  # SqueezeLLM writes no config
                return {"quant_method": "squeezellm"}
            if packed := parameters & _PACKED:
                raise UnsupportedModelError(
                    f"{name} is stored packed ({', '.join(sorted(packed))}), but neither config.json nor a file beside "
                    "it says by which method. Add the producer's quantize_config.json, quant_config.json or "
                    "quantization_config"
                )
        return None

    def _of(self, prefix: str) -> list[str]:
        """Names of the tensors of a module, without its bias."""
        return [name for name in self._beginning(f"{prefix}.") if name != f"{prefix}.bias"]

    def _beginning(self, start: str) -> list[str]:
        """Names that begin so. All names are below the start with its last character replaced by the next one."""
        stop = start[:-1] + chr(ord(start[-1]) + 1)
        return self._names[bisect_left(self._names, start) : bisect_left(self._names, stop)]
