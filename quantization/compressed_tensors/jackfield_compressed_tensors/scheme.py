"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jackfield.decision import Reason
from jackfield.stored_linear import StoredLinear
from jackfield_compact.scheme import CompactScheme
from jackfield_compressed_tensors.layout import check_tensors, weights_of
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class CompressedTensorsScheme(CompactScheme):
    """Whole numbers of 2 to 8 bits, FP8, NVFP4 and MXFP4, packed or one a byte."""

    methods = ("compressed-tensors",)
    features = frozenset({"quantization.method=compressed-tensors", "quantization.settings"})

    def check_settings(self, settings: Mapping[str, Any]) -> Iterator[Reason]:
        """Refuse sparse weights and transforms of activations, which belong to other models."""
        sparsity = settings.get("sparsity_config") or {}
        if sparsity.get("format", "dense") != "dense":
            text = f"reads dense weights, these are {sparsity['format']}"
            yield Reason("sparsity", text, "take the checkpoint without sparsity")
        if (settings.get("transform_config") or {}).get("config_groups"):
            text = "does not transform activations, which transform_config asks for"
            yield Reason("transform", text, "take a checkpoint without transforms")

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """See CompactScheme."""
        check_tensors(linear, weights_of(settings))

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read the format that the tensors show."""
        from jackfield_compressed_tensors.reader import read_compressed

        return read_compressed(part, shard)
