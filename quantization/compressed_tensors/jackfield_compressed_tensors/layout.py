"""What a config says of weights, and the shapes that tensors must have. Imports no torch. O outputs, I inputs, G groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.dtypes import UINT8
from jackfield.errors import CheckpointError
from jackfield.stored_linear import StoredLinear
from jackfield_compact.layout import BITS, check_scale, check_type, group_size_of, num_words

BLOCK = (128, 128)  # if the config names none
_BYTES = ("int8", "float8_e4m3", "float8_e5m2")
# Meaning for weights of the library's preset names, as far as tensors do not show it.
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "W4A16": {"num_bits": 4, "group_size": 128},
    "W4A16_ASYM": {"num_bits": 4, "group_size": 128},
    "W8A16": {"num_bits": 8, "group_size": 128},
    "W8A8": {"num_bits": 8, "input_bits": 8},
    "INT8": {"num_bits": 8, "input_bits": 8},
    "W4A8": {"num_bits": 4, "group_size": 128},
}


def weights_of(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config's entries for weights."""
    preset = _PRESETS.get(str(settings.get("preset", "")).upper(), {})
    return {**preset, **(settings.get("weights") or {})}


def packed_bits(name: str, num_inputs: int, shape: tuple[int, ...], claimed: object) -> int:
    """The number of bits from the shape of weight_packed, which counts before the config. Raises CheckpointError."""
    first: list[int] = [claimed] if isinstance(claimed, int) and claimed > 0 else []
    for bits in (*first, *BITS):
        if shape[1] in (num_words(num_inputs, bits), loose_words(num_inputs, bits)):
            return int(bits)
    raise CheckpointError(
        f"weight_packed of {name} has shape {shape}, which no number of bits from 2 to 8 gives for {num_inputs} inputs. "
        "Check that the config belongs to this checkpoint, or fetch the files again"
    )


def loose_words(count: int, bits: int) -> int:
    """Words that hold so many codes if no code is in two words."""
    return -(-count // (32 // bits))


def check_tensors(linear: StoredLinear, weights: Mapping[str, Any]) -> None:
    """Raise CheckpointError if tensors are missing or do not fit the linear."""
    if "weight_packed" not in linear.tensors:
        num_outputs, num_inputs = linear.expect("weight", linear.out_size, linear.in_size).shape
        check_type(linear, "weight", _BYTES)
        blocks = weights.get("block_structure") or BLOCK
        scale = linear.tensor("weight_scale")
        check_scale(scale.shape, (num_outputs, num_inputs), blocks, linear.name)
    elif linear.tensor("weight_packed").dtype == UINT8:
        _check_float4(linear)
    else:
        _check_packed(linear, weights)


def _check_float4(linear: StoredLinear) -> None:
    in_bytes = linear.in_size and linear.in_size // 2
    num_outputs, num_bytes = linear.expect("weight_packed", linear.out_size, in_bytes).shape
    is_mxfp4 = linear.tensor("weight_scale").dtype == UINT8
    linear.expect("weight_scale", num_outputs, 2 * num_bytes // (32 if is_mxfp4 else 16))
    if not is_mxfp4:
        linear.tensor("weight_global_scale")


def _check_packed(linear: StoredLinear, weights: Mapping[str, Any]) -> None:
    packed = linear.expect("weight_packed", linear.out_size, None)
    num_outputs, num_groups = linear.expect("weight_scale", packed.shape[0], None).shape
    if linear.in_size is None:
        return
    bits = packed_bits(linear.name, linear.in_size, packed.shape, weights.get("num_bits", 4))
    if "weight_zero_point" in linear.tensors:
        is_dense = packed.shape[1] == num_words(linear.in_size, bits)
        words = (num_words if is_dense else loose_words)(num_outputs, bits)
        linear.expect("weight_zero_point", words, num_groups)
    if "weight_g_idx" in linear.tensors:
        linear.expect("weight_g_idx", linear.in_size)
    else:
        group_size_of(linear.in_size, num_groups, weights.get("group_size"), linear.name)
