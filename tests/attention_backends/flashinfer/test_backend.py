"""What the card of FlashInfer says of needs and of saved facts, and what it plans."""

import inspect
import logging
from dataclasses import replace

import fake_flashinfer
import pytest
import torch
from host_flashinfer import FlashInfer

from jackfield.cache import CacheGroup, CacheLayout, key_and_value
from jackfield.dtypes import parse_dtype
from jackfield_flashinfer.backend import FlashInferBackend
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.interfaces.attention_backend import AttentionNeed

NEED = AttentionNeed(
    device="cuda",
    dtype="bfloat16",
    cache_dtype="bfloat16",
    num_heads=16,
    num_kv_heads=8,
    head_size=128,
    block_size=16,
)
HERE = FlashInfer().probe()


def texts(facts=None, **need):
    reasons = FlashInferBackend().check(replace(NEED, **need), {**HERE, **(facts or {})})
    return [str(reason) for reason in reasons]


def test_a_machine_that_has_all_is_not_refused():
    assert texts() == texts(cache_dtype="float8_e4m3") == []


@pytest.mark.parametrize(
    ("facts", "need", "text"),
    [
        ({"flashinfer": ""}, {}, "FlashInfer is not installed; pip install flashinfer-python"),
        ({"problem": "ImportError: no tvm_ffi"}, {}, "cannot be imported: ImportError: no tvm_ffi"),
        ({"nvcc": ""}, {}, "there is no nvcc"),
        ({"ninja": False}, {}, "pip install ninja"),
        ({"capability": 75}, {}, "capability 8.0 and newer, not 7.5"),
        ({}, {"dtype": "float32", "cache_dtype": "float32"}, "not in float32"),
        ({}, {"head_size": 80}, "takes heads of 64, 128, 256 elements, not 80"),
        ({}, {"device": "cpu"}, "needs an NVIDIA GPU"),
    ],
)
def test_what_is_missing_is_named(facts, need, text):
    assert any(text in one for one in texts(facts, **need))


@pytest.fixture
def make_attention():
    dtype = parse_dtype("bfloat16")
    group = CacheGroup(index=0, kind="full", layers=(0,), tensors=key_and_value(2, 64, dtype))
    limits = AttentionLimits(
        device=torch.device("cpu"),
        dtype=torch.bfloat16,
        num_heads=4,
        num_kv_heads=2,
        head_size=64,
        max_rows=2,
        max_step_tokens=8,
        max_length=8,
        num_blocks=5,
    )
    return lambda: FlashInfer().create(group, CacheLayout(block_size=4, dtype=dtype), limits)


BATCH = AttentionBatch(
    query_lengths=[1, 1],
    lengths=[6, 3],
    query_starts_R1=torch.tensor([0, 1, 2]).int(),
    lengths_R=torch.tensor([6, 3]).int(),
    block_ids_RB=torch.tensor([[3, 1], [2, 4]]).int(),
    slots_T=torch.tensor([5, 10]),
)
CACHE = LayerCache(*torch.zeros(2, 5, 4, 2, 64, dtype=torch.bfloat16))
Q = torch.zeros(2, 4, 64, dtype=torch.bfloat16)


def test_layers_that_are_alike_share_a_plan_and_later_steps_are_planned_before_layers_run(
    make_attention, monkeypatch
):
    plans = []
    monkeypatch.setattr(fake_flashinfer, "compiled", plans)
    attention = make_attention()
    attention.prepare(BATCH)
    for window in (None, None, 3, None):
        attention.attend(Q, CACHE, LayerAttention(scale=0.1, window=window))
    assert len(plans) == 2

    attention.prepare(BATCH)

    assert len(plans) == 4


def test_a_first_plan_that_compiles_says_so_before_and_how_long_it_took_after(
    make_attention, monkeypatch, caplog
):
    class Spec:
        is_aot = is_compiled = False

    class Jit:
        gen_batch_prefill_module = staticmethod(lambda *args: Spec)

    monkeypatch.setattr(fake_flashinfer, "jit", Jit, raising=False)
    monkeypatch.setattr("jackfield_flashinfer.plans._COMPILED_S", 0.0)
    attention = make_attention()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            attention.prepare(BATCH)
            attention.attend(Q, CACHE, LayerAttention(scale=0.1, window=3))

    before, after = caplog.messages
    assert before.startswith(
        "FlashInfer compiles kernels for heads of 64 elements in bfloat16 with a window"
    )
    assert "are compiled, after 0 s" in after


def test_the_stand_in_has_the_signatures_of_the_library_where_it_is_installed():
    real = pytest.importorskip("flashinfer")
    for name in ("BatchDecodeWithPagedKVCacheWrapper", "BatchPrefillWithPagedKVCacheWrapper"):
        for method in ("__init__", "plan", "run", "reset_workspace_buffer"):
            ours, theirs = (
                inspect.signature(getattr(getattr(module, name), method))
                for module in (fake_flashinfer, real)
            )
            assert list(ours.parameters) == list(theirs.parameters), f"{name}.{method}"
