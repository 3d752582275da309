"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from jackfield.dtypes import INT8, UINT8
from jackfield.errors import CheckpointError
from jackfield.stored_linear import StoredLinear
from jackfield_compact.layout import check_type
from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


STATES = tuple(f"weight.quant_state.bitsandbytes__{kind}" for kind in ("nf4", "fp4"))


class BitsAndBytesScheme(CompactScheme):
    """NF4 and FP4 with plain or quantized scales of blocks, and int8 with a scale for each output."""

    methods = ("bitsandbytes",)
    features = frozenset({"quantization.method=bitsandbytes", "quantization.settings"})

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """See CompactScheme."""
        check_type(linear, "weight", ("uint8", "int8"))
        weight, sizes = linear.tensor("weight"), (linear.out_size, linear.in_size)
        if weight.dtype == INT8:
            num_outputs, _ = linear.expect("weight", *sizes).shape
            linear.expect("SCB", num_outputs)
            return
        linear.tensor(*STATES)
        linear.tensor("weight.quant_map")
        if linear.tensor("weight.absmax").dtype == UINT8:  # scales of scales
            linear.tensor("weight.nested_quant_map")
            linear.tensor("weight.nested_absmax")
        num_codes = 2 * prod(weight.shape)
        if None not in sizes and num_codes != prod(size or 0 for size in sizes):
            raise CheckpointError(
                f"weight of {linear.name} has {num_codes} codes; a matrix of {sizes} needs as many as it has elements. "
                "Check that the config belongs to this checkpoint, or fetch the files again"
            )

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read the format that the tensors show."""
        from jackfield_bitsandbytes.reader import read_bitsandbytes

        return read_bitsandbytes(part, shard)
