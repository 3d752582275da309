"""What is stored is read back as it was meant."""

import pytest
import torch

from jackfield_awq.scheme import AwqScheme
from jackfield_bitsandbytes.scheme import BitsAndBytesScheme
from jackfield_compressed_tensors.scheme import CompressedTensorsScheme
from jackfield_fp8.scheme import Fp8Scheme
from jackfield_gptq.scheme import GptqScheme
from jackfield_quantize.formats.bitsandbytes import bitsandbytes_tensors
from jackfield_quantize.formats.fp8 import fp8_block_tensors
from jackfield_quantize.formats.table import FORMATS
from jackfield_quantize.matrices import Tabled
from jackfield_quantize.recipe import Recipe
from jackfield_quantize.schemes.float4 import quantise_mxfp4, quantise_nvfp4
from jackfield_quantize.schemes.nearest import quantise_fp8, quantise_int8, quantise_nearest
from jackfield_quantize.schemes.squeezellm import find_tables, nearest_codes
from jackfield_squeezellm.scheme import SqueezeLlmScheme
from jackfield_torch.interfaces.quantization import LinearPart

NUM_OUTPUTS, NUM_INPUTS = 64, 160
READERS = {
    "gptq": GptqScheme,
    "awq": AwqScheme,
    "squeezellm": SqueezeLlmScheme,
    "compressed-tensors": CompressedTensorsScheme,
    "fp8": Fp8Scheme,
    "bitsandbytes": BitsAndBytesScheme,
}


class Stored:
    """A shard that holds these tensors alone."""

    def __init__(self, tensors):
        self.tensors = tensors

    def has(self, part, parameter):
        return parameter in self.tensors

    def read_stored(self, part, parameter):
        return self.tensors[parameter]


def read(recipe, tensors):
    settings = dict(FORMATS[recipe.format].config(recipe))
    settings.update(settings.pop("config_groups", {}).get("group_0", {}))
    part = LinearPart(name="x", in_size=NUM_INPUTS, out_size=NUM_OUTPUTS, settings=settings)
    card = READERS[recipe.format]()
    assert not list(card.check_settings(settings))
    return card.read(part, Stored(tensors)).dequantise()


@pytest.fixture
def weight():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(NUM_OUTPUTS, NUM_INPUTS, generator=generator) + 0.1


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize(
    ("name", "bits"),
    [*(("gptq", bits) for bits in (2, 3, 4, 8)), *(("compressed-tensors", b) for b in (3, 4)), ("awq", 4)],
)  # fmt: skip
def test_groups_are_read_as_they_were_written(weight, name, bits, symmetric):
    scheme = "awq" if name == "awq" else "rtn"
    recipe = Recipe(scheme=scheme, bits=bits, group_size=32, symmetric=symmetric, format=name)
    matrix = quantise_nearest(weight, bits=bits, group_size=32, symmetric=symmetric)

    found = read(recipe, FORMATS[name].tensors(matrix))

    torch.testing.assert_close(found, matrix.dequantise(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("bits", "sparse"), [(3, 0.0), (4, 0.0), (4, 0.02)])
def test_tables_are_read_as_they_were_written(weight, bits, sparse):
    recipe = Recipe(scheme="squeezellm", bits=bits, format="squeezellm", sparse=sparse)
    tables = find_tables(weight, torch.ones_like(weight), bits=bits, sparse=sparse)
    matrix = nearest_codes(weight, tables)

    found = read(recipe, FORMATS["squeezellm"].tensors(matrix))

    torch.testing.assert_close(found, matrix.dequantise())
    assert isinstance(matrix, Tabled)


@pytest.mark.parametrize(("scheme", "quantise"), [("int8", quantise_int8), ("fp8", quantise_fp8)])
def test_eight_bits_are_read_as_they_were_written(weight, scheme, quantise):
    recipe = Recipe(scheme=scheme, bits=8, format="compressed-tensors")
    matrix = quantise(weight)

    found = read(recipe, FORMATS["compressed-tensors"].tensors(matrix))

    torch.testing.assert_close(found, matrix.dequantise())
    assert (found - weight).norm() < 0.03 * weight.norm()


def test_blocks_of_float8_are_read_as_they_were_written(weight):
    recipe = Recipe(scheme="fp8", bits=8, format="fp8")
    tensors = fp8_block_tensors(weight)

    found = read(recipe, tensors)

    assert tensors["weight_scale_inv"].shape == (1, 2)
    assert (found - weight).norm() < 0.03 * weight.norm()


@pytest.mark.parametrize(
    ("scheme", "quantise", "limit"),
    [("mxfp4", quantise_mxfp4, 0.13), ("nvfp4", quantise_nvfp4, 0.11)],
)
def test_four_bits_in_floating_point_are_read_as_they_were_written(weight, scheme, quantise, limit):
    recipe = Recipe(scheme=scheme, bits=4, format="compressed-tensors")
    matrix = quantise(weight)

    found = read(recipe, FORMATS["compressed-tensors"].tensors(matrix))

    torch.testing.assert_close(found, matrix.dequantise())
    assert (found - weight).norm() < limit * weight.norm()


def test_nf4_is_rounded_to_the_nearest_of_its_numbers(weight):
    tensors = bitsandbytes_tensors(weight)

    found = read(Recipe(scheme="nf4", bits=4, format="bitsandbytes"), tensors)

    blocks = weight.flatten().view(-1, 64)
    values = tensors["weight.quant_map"] * blocks.abs().amax(1, keepdim=True)
    nearest = (blocks.unsqueeze(2) - values.unsqueeze(1)).abs().amin(2)
    torch.testing.assert_close((found - weight).abs().flatten(), nearest.flatten())
