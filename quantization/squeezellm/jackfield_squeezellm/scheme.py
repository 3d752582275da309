"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jackfield.errors import CheckpointError
from jackfield.stored_linear import StoredLinear
from jackfield_compact.layout import num_words
from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class SqueezeLlmScheme(CompactScheme):
    """Codes of three or four bits for a table of each output, and outliers beside them."""

    methods = ("squeezellm",)
    features = frozenset({"quantization.method=squeezellm", "quantization.settings"})

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """See CompactScheme."""
        num_outputs, num_values = linear.expect("lookup_table", linear.out_size, None).shape
        packed = linear.expect("qweight", None, num_outputs)
        if linear.in_size is not None:
            bits_of_table(linear.name, num_values, linear.in_size, packed.shape)
        if "rows" in linear.tensors:
            linear.expect("rows", num_outputs + 1)
            linear.expect("vals", *linear.tensor("cols").shape)
        if "full_rows" in linear.tensors:
            linear.expect("full_rows", linear.in_size, *linear.tensor("full_row_indices").shape)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read qweight, lookup_table, and outliers if there are any."""
        from jackfield_squeezellm.reader import read_squeezellm

        return read_squeezellm(part, shard)


def bits_of_table(name: str, num_values: int, num_inputs: int, qweight: tuple[int, ...]) -> int:
    """The bits of a code into a table of so many values. Raises CheckpointError if the codes have other words."""
    bits = num_values.bit_length() - 1
    if 2**bits != num_values or qweight[0] != num_words(num_inputs, bits):
        raise CheckpointError(
            f"{name} has look-up tables of {num_values} values and qweight of shape {qweight}, "
            f"which fit no matrix of {num_inputs} inputs. Fetch the file again"
        )
    return bits
