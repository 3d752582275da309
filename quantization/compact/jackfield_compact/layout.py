"""Shapes of stored tensors: what they must be for a linear, and what they say of bits and groups. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from jackfield.errors import CheckpointError
from jackfield.stored_linear import StoredLinear

_WORD = 32  # bits
BITS = range(2, 9)  # of a packed code


def num_words(count: int, bits: int) -> int:
    """Words that hold so many codes without gaps."""
    return -(-count * bits // _WORD)


def bits_of(name: str, num_inputs: int, found: int, claimed: object) -> int:
    """The number of bits with which `num_inputs` codes fill `found` words; the claimed one, if it fits, is tried first.

    Raises CheckpointError.
    """
    first: list[int] = [claimed] if isinstance(claimed, int) and claimed > 0 else []
    for bits in (*first, *BITS):
        if num_words(num_inputs, bits) == found:
            return int(bits)
    raise CheckpointError(
        f"{name} has {found} words for {num_inputs} inputs, which no number of bits from {BITS[0]} to {BITS[-1]} gives; "
        f"{claimed} bits need {num_words(num_inputs, first[0]) if first else 'a number'}. Check that the config belongs "
        "to this checkpoint, or fetch the files again"
    )


def group_size_of(num_inputs: int, num_groups: int, claimed: object, name: str) -> int:
    """Inputs of a group; the last group may have fewer. If stored scales show the size, that counts before the config.

    Raises CheckpointError.
    """
    size = claimed if isinstance(claimed, int) and claimed > 0 else num_inputs
    if -(-num_inputs // size) == num_groups:
        return size
    if num_groups < 1 or num_inputs % num_groups:
        raise CheckpointError(
            f"{name} has scales for {num_groups} groups; its {num_inputs} inputs cannot be cut into so many, and "
            f"group_size {claimed} says {-(-num_inputs // size)}. Correct group_size in the config, or fetch "
            "the files again"
        )
    return num_inputs // num_groups


def check_scale(scale: tuple[int, ...], shape: tuple[int, int], blocks: object, name: str) -> None:
    """Raise CheckpointError unless there is one scale, one for each output, group or block of outputs and inputs."""
    num_outputs, num_inputs = shape
    is_one = all(size == 1 for size in scale)
    is_by_output = bool(scale) and len(scale) <= 2 and scale[0] == num_outputs
    is_by_block = False
    if len(scale) == 2 and isinstance(blocks, (list, tuple)) and len(blocks) == 2:
        rows, columns = blocks
        is_by_block = (-(-num_outputs // rows), -(-num_inputs // columns)) == scale
    if not (is_one or is_by_output or is_by_block):
        raise CheckpointError(
            f"the scale of {name} has shape {scale}, which fits no matrix of {shape} in blocks of {blocks}; one scale, "
            "one for each output, group or block is allowed. Fetch the config and the files again"
        )


def check_type(linear: StoredLinear, parameter: str, allowed: Iterable[str]) -> None:
    """Raise CheckpointError if the elements of a parameter are of another type."""
    found, words = linear.tensor(parameter).dtype.name, list(allowed)
    if found not in words:
        raise CheckpointError(
            f"{parameter} of {linear.name} is {found}, expected {' or '.join(words)}. Check that the config belongs to "
            "this checkpoint"
        )
