"""Blocks become elements as ggml defines them."""

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from jackfield_gguf import blocks
from jackfield_gguf.blocks import BLOCK_FORMATS, dequantize

BY_NAME = {block.name: block for block in BLOCK_FORMATS.values()}
# The distance of two levels for values from -1 to 1.
STEPS = {"Q8_0": 1 / 127, "Q4_0": 1 / 8, "Q4_1": 2 / 15, "Q5_0": 1 / 16, "Q5_1": 2 / 31}


def float16(block, at):
    return float(np.frombuffer(block[at : at + 2], np.float16)[0])


def scale_and_minimum(scales, group):
    """The 6-bit scale and minimum of a group, of the twelve bytes of Q4_K and Q5_K."""
    if group < 4:
        return scales[group] & 63, scales[group + 4] & 63
    low, high = scales[group + 4], group - 4
    scale = (low & 15) | (scales[high] >> 6) << 4
    return scale, (low >> 4) | (scales[high + 4] >> 6) << 4


def element_q4_k(block, index):
    group = index // 32
    scale, minimum = scale_and_minimum(block[4:16], group)
    q = block[16 + 32 * (group // 2) + index % 32] >> 4 * (group % 2) & 15
    return float16(block, 0) * scale * q - float16(block, 2) * minimum


def element_q5_k(block, index):
    group = index // 32
    scale, minimum = scale_and_minimum(block[4:16], group)
    q = block[48 + 32 * (group // 2) + index % 32] >> 4 * (group % 2) & 15
    q += 16 * (block[16 + index % 32] >> group & 1)
    return float16(block, 0) * scale * q - float16(block, 2) * minimum


def element_q6_k(block, index):
    half, rest = divmod(index, 128)
    quarter, place = divmod(rest, 32)
    low = block[64 * half + 32 * (quarter % 2) + place] >> 4 * (quarter // 2) & 15
    high = block[128 + 32 * half + place] >> 2 * quarter & 3
    scale = int(np.int8(np.uint8(block[192 + index // 16])))
    return float16(block, 208) * scale * ((low | high << 4) - 32)


FORMULAS = {"Q4_K": element_q4_k, "Q5_K": element_q5_k, "Q6_K": element_q6_k}
SCALES_AT = {"Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}


def random_blocks(name, count):
    """Any bits are a valid block, but for the float16 scales, which must be numbers."""
    random = np.random.default_rng(0)
    data = random.integers(0, 256, (count, BY_NAME[name].bytes), dtype=np.uint8)
    for at in SCALES_AT[name]:
        scales = random.uniform(-2, 2, (count, 1)).astype(np.float16)
        data[:, at : at + 2] = scales.view(np.uint8)
    return data


@pytest.mark.parametrize("name", FORMULAS)
def test_a_k_type_is_what_its_formula_says(name):
    data = random_blocks(name, 5)

    found = dequantize(data.reshape(-1), BY_NAME[name]).reshape(5, 256)

    expected = [[FORMULAS[name](bytes(row), i) for i in range(256)] for row in data]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", STEPS)
def test_a_type_gives_back_what_was_quantized(name):
    original = np.random.default_rng(1).uniform(-1, 1, (40, 96)).astype(np.float32)
    stored = gguf.quantize(original, Type[name])

    found = dequantize(stored.reshape(-1), BY_NAME[name]).reshape(original.shape)

    assert np.abs(found - original).max() < 1.01 * STEPS[name]  # the scale is rounded to float16
    assert np.array_equal(found, gguf.dequantize(stored, Type[name]))


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
def test_a_plain_type_becomes_float32_without_loss(name):
    original = np.arange(-8, 8, dtype=np.float32)

    found = dequantize(gguf.quantize(original, Type[name]).view(np.uint8), BY_NAME[name])

    assert found.dtype == np.float32
    assert np.array_equal(found, original)


def test_a_tensor_of_many_chunks_is_whole(monkeypatch):
    monkeypatch.setattr(blocks, "_CHUNK", 64)
    original = np.random.default_rng(2).normal(size=(7, 96)).astype(np.float32)
    stored = gguf.quantize(original, Type.Q8_0)

    found = dequantize(stored.reshape(-1), BY_NAME["Q8_0"])

    assert np.array_equal(found, gguf.dequantize(stored, Type.Q8_0).reshape(-1))


def test_the_result_can_be_written_to_though_the_source_cannot():
    source = np.frombuffer(bytes(16), np.uint8)

    found = dequantize(source, BY_NAME["F32"])
    found += 1

    assert found.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("block", BLOCK_FORMATS.values(), ids=lambda block: block.name)
def test_sizes_are_those_of_the_package(block):
    assert gguf.GGML_QUANT_SIZES[Type(block.number)] == (block.elements, block.bytes)
    assert Type(block.number).name == block.name


def test_every_type_that_the_package_can_dequantize_is_read():
    assert {kind.value for kind in gguf.quants._type_traits} <= set(BLOCK_FORMATS)


@pytest.mark.parametrize("kind", gguf.quants._type_traits, ids=lambda kind: kind.name)
def test_elements_of_each_type_are_those_of_the_package(kind):
    block = BLOCK_FORMATS[kind.value]
    data = np.random.default_rng(3).integers(0, 60, (4, 3 * block.bytes), dtype=np.uint8)

    found = dequantize(data.reshape(-1), block).reshape(4, -1)

    np.testing.assert_array_equal(found, gguf.dequantize(data, kind))
