"""The native operations of the processor compute what torch's operations compute."""

from dataclasses import dataclass

import pytest
import torch

from jackfield.model_spec import Rope
from jackfield_cpu import device
from jackfield_cpu.device import CpuDevice
from jackfield_cpu.fused import FusedKernels
from jackfield_cpu.kernels import CpuKernels
from jackfield_cpu.native import ACTIVATIONS, load_library
from jackfield_torch.interfaces.attention import LayerCache
from jackfield_torch.interfaces.kernels import HeadFacts, Kernels
from jackfield_torch.layers.norm import HeadNorms
from jackfield_torch.rope import RopeTable, build_rotate

DTYPES = [torch.float32, torch.bfloat16]

needs_compiler = pytest.mark.skipif(load_library() is None, reason="not compiled")


@pytest.fixture
def kernels():
    return FusedKernels(load_library(), num_threads=2)


def assert_alike(found, expected):
    """Equal within a few steps of the dtype."""
    eps = torch.finfo(found.dtype).eps
    torch.testing.assert_close(found, expected, rtol=4 * eps, atol=eps / 4)


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("num_tokens", [3, 400], ids=["one thread", "two threads"])
def test_a_sum_and_its_norm(kernels, dtype, num_tokens):
    x_TE, branch_TE = torch.randn(2, num_tokens, 171, dtype=dtype)
    weight_E = torch.randn(171)
    there_TE = x_TE.clone()

    found = kernels.add_rms_norm(x_TE, branch_TE, weight_E, 1e-5)

    assert_alike(found, Kernels().add_rms_norm(there_TE, branch_TE, weight_E, 1e-5))
    assert torch.equal(x_TE, there_TE)
    assert_alike(kernels.add_rms_norm(x_TE, None, weight_E, 1e-5), found)


@needs_compiler
@pytest.mark.parametrize("x_TE", [torch.randn(4, 6, 8)[:, :3], torch.randn(4, 8).half()])
def test_torch_computes_the_norm_of_other_tensors(kernels, x_TE):
    weight_E = torch.randn(8)

    found = kernels.add_rms_norm(x_TE, None, weight_E, 1e-5)

    assert torch.equal(found, Kernels().add_rms_norm(x_TE, None, weight_E, 1e-5))


@needs_compiler
def test_bfloat16_is_rounded_as_torch_rounds(kernels):
    """All pairs of a number and what is half a step of it or more, so that ties and infinities occur; and NaN."""
    bits = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).short()
    x_TE = bits.view(torch.bfloat16).reshape(256, 256)
    branch_TE = (
        x_TE.float() * torch.tensor([0.0, 2.0**-9, 3 * 2.0**-9, 1.0])[:, None, None]
    ).bfloat16()

    for branch in branch_TE:
        sum_TE = x_TE.clone()
        kernels.add_rms_norm(sum_TE, branch, torch.ones(256), 1e-5)
        assert torch.equal(
            sum_TE.nan_to_num(7.0, 8.0, 9.0), (x_TE + branch).nan_to_num(7.0, 8.0, 9.0)
        )


def test_without_a_compiler_torch_computes_and_the_device_says_so(monkeypatch):
    monkeypatch.setattr(device, "load_library", lambda: None)
    cpu = CpuDevice(1)

    assert type(cpu.kernels()) is CpuKernels
    assert cpu.details()["operations"] == "torch's: native ones were not compiled"


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "gelu"])
def test_a_gated_activation(kernels, dtype, activation):
    """Numbers of all sizes; torch computes "gelu"."""
    x_T2F = (torch.randn(400, 2 * 171) * torch.logspace(-3, 2, 400)[:, None]).to(dtype)
    x_T2F[5, 7] = torch.nan

    found = kernels.gate(activation, x_T2F)

    error = (found - Kernels().gate(activation, x_T2F.double())).abs()
    # An activation near 0 is the difference of larger numbers.
    bound = torch.finfo(dtype).eps * (x_T2F[:, :171].double() * x_T2F[:, 171:]).abs()
    if activation == "relu_squared":
        bound *= x_T2F[:, :171].abs()
    assert found[5, 7].isnan()
    assert (error <= 4 * bound)[torch.arange(400) != 5].all()


@dataclass(frozen=True, slots=True)
class Shape:
    rotary_size: int = 64
    interleaved: bool = False
    has_norm: bool = False
    order: str = "KHBSD"
    dtype: torch.dtype = torch.bfloat16
    cache_dtype: torch.dtype = torch.bfloat16
    num_tokens: int = 21


SHAPES = {
    "plain": Shape(),
    "norms": Shape(has_norm=True, order="BKSHD"),
    "neighbours": Shape(interleaved=True, dtype=torch.float32, cache_dtype=torch.float32),
    "a part": Shape(rotary_size=24, has_norm=True, order="KBSHD"),
    "a part in neighbours": Shape(rotary_size=24, interleaved=True),
    "a wide cache": Shape(cache_dtype=torch.float32),
    "a narrow cache": Shape(dtype=torch.float32),
    "float16": Shape(dtype=torch.float16, cache_dtype=torch.float16, has_norm=True),
    "two threads": Shape(num_tokens=90),
}


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_heads_are_normed_rotated_and_written(kernels, shape):
    num_heads, num_kv_heads, size, num_blocks, block_size = 6, 2, 64, 9, 16
    sizes = {"K": 2, "B": num_blocks, "S": block_size, "H": num_kv_heads, "D": size}
    memory = torch.zeros([sizes[axis] for axis in shape.order], dtype=shape.cache_dtype)
    cache = LayerCache(*memory.permute([shape.order.index(axis) for axis in "KBSHD"]))
    slots_T = torch.randperm(num_blocks * block_size)[: shape.num_tokens]
    rope = Rope(theta=100.0, rotary_size=shape.rotary_size, interleaved=shape.interleaved)
    rotation = RopeTable(rope, 200, torch.device("cpu"), shape.dtype).rows(slots_T)
    weight_MH = torch.rand(num_heads + num_kv_heads, size) if shape.has_norm else None
    # Something may follow the values, so tokens need not lie next to each other.
    qkv_TMH = torch.randn(shape.num_tokens, 11, size).to(shape.dtype)[:, :10]
    facts = HeadFacts(
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_size=size,
        norm_weight_MH=weight_MH,
        norm_epsilon=1e-5,
        rotary_size=shape.rotary_size,
        interleaved=shape.interleaved,
    )

    kernel = kernels.head_kernel(facts)
    found_TNH = kernel(qkv_TMH, rotation.cos_T1P, rotation.sin_T1P, cache, slots_T)

    qk_TMH = qkv_TMH[:, :8]
    if weight_MH is not None:
        qk_TMH = HeadNorms(weight_MH, 1e-5)(qk_TMH)
    q_TNH, k_TKH = build_rotate(rope, size)(qk_TMH, rotation).split([num_heads, num_kv_heads], 1)
    written = cache.key_BSHD[slots_T // block_size, slots_T % block_size]
    values = cache.value_BSHD[slots_T // block_size, slots_T % block_size]
    # The separate operations also round the product with the cosine.
    eps = max(torch.finfo(dtype).eps for dtype in (shape.dtype, shape.cache_dtype))
    close = {"rtol": eps, "atol": eps * float(qk_TMH.abs().max())}
    torch.testing.assert_close(found_TNH, q_TNH, **close)
    torch.testing.assert_close(written, k_TKH.to(shape.cache_dtype), **close)
    assert torch.equal(values, qkv_TMH[:, 8:].to(shape.cache_dtype))
    assert memory.count_nonzero() <= 2 * shape.num_tokens * num_kv_heads * size


@needs_compiler
def test_heads_that_are_too_large_are_left_to_torch(kernels):
    facts = HeadFacts(
        num_heads=1,
        num_kv_heads=1,
        head_size=1024,
        norm_weight_MH=None,
        norm_epsilon=0.0,
        rotary_size=64,
        interleaved=False,
    )

    assert kernels.head_kernel(facts) is None
