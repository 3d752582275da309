"""What the card of xFormers says of needs and of saved facts, and what the real library takes from us."""

import inspect
import warnings
from dataclasses import replace
from operator import attrgetter

import fake_fmha
import pytest
import torch
from host_xformers import Xformers

from jackfield_torch.interfaces.attention_backend import AttentionNeed
from jackfield_xformers.backend import XformersBackend

NEED = AttentionNeed(
    device="cuda",
    dtype="bfloat16",
    cache_dtype="bfloat16",
    num_heads=16,
    num_kv_heads=8,
    head_size=128,
    block_size=64,
)
HERE = Xformers().probe()


def texts(facts=None, **need):
    reasons = XformersBackend().check(replace(NEED, **need), {**HERE, **(facts or {})})
    return [str(reason) for reason in reasons]


def test_an_extension_that_does_not_load_refuses_nothing_that_needs_it_not():
    assert HERE["extension"]
    assert texts() == []


@pytest.mark.parametrize(
    ("facts", "need", "text"),
    [
        ({"xformers": ""}, {}, "xFormers is not installed; pip install xformers"),
        ({"problem": "ImportError: a schema"}, {}, "0.0.35 cannot be imported: ImportError: a sc"),
        ({"split": ""}, {}, "no triton_splitK operator here: it needs Triton"),
        (
            {"flash": ""},
            {},
            (
                "finds no flash operator in torch 2.11.0+cu130; its own extension, which has more operators, "
                "does not load: built for PyTorch 2.10.0+cu128 with CUDA 1208 (you have 2.11.0+cu130)"
            ),
        ),
        ({"capability": 75}, {}, "capability 8.0 and newer, not 7.5"),
        ({}, {"dtype": "float32", "cache_dtype": "float32"}, "does not load: built for PyTorch"),
        ({}, {"block_size": 16}, "set cache.block_size to 64"),
        ({}, {"head_size": 80}, "takes heads of 16, 32, 64, 128, 256 elements, not 80"),
        ({}, {"device": "cpu"}, "needs an NVIDIA GPU"),
    ],
)
def test_what_is_missing_is_named(facts, need, text):
    assert any(text in one for one in texts(facts, **need))


@pytest.fixture(scope="module")
def fmha():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("xformers.ops.fmha")


def test_the_real_biases_take_what_we_give_them(fmha):
    table = torch.tensor([[2, 0], [1, 3]], dtype=torch.int32)
    bias = fmha.attn_bias.PagedBlockDiagonalCausalWithOffsetPaddedKeysMask.from_seqlens(
        [1, 1], [1, 1], table, 64, device=torch.device("cpu")
    )
    bias.k_seqinfo.seqlen = torch.tensor([70, 100], dtype=torch.int32)
    q = torch.zeros(1, 2, 8, 2, 128, dtype=torch.bfloat16)
    k = torch.zeros(1, 4 * 64, 8, 1, 128, dtype=torch.bfloat16).expand(-1, -1, -1, 2, -1)

    reasons = fmha.triton_splitk.FwOp.not_supported_reasons(fmha.Inputs(q, k, k, bias))

    assert all("device" in reason or "GPU" in reason for reason in reasons), reasons


def test_the_stand_in_has_the_signature_of_the_library_where_it_is_installed(fmha):
    for name in ("Inputs", "triton_splitk.FwOp.apply", "flash.FwOp.apply"):
        ours, theirs = (
            list(inspect.signature(attrgetter(name)(module)).parameters)
            for module in (fake_fmha, fmha)
        )
        assert ours == theirs, name
