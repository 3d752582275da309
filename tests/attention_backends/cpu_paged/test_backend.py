"""The claims and refusals of the paged CPU backend."""

import dataclasses

import pytest

from jackfield_cpu_paged import backend
from jackfield_cpu_paged.backend import CpuPagedBackend
from jackfield_torch.interfaces.attention_backend import AttentionNeed
from jackfield_torch.interfaces.openmp import openmp_parallel

NEED = AttentionNeed(
    device="cpu",
    dtype="bfloat16",
    cache_dtype="bfloat16",
    num_heads=9,
    num_kv_heads=3,
    head_size=64,
    block_size=16,
)
FACTS = {"compiled": True, "max_head_size": 512}


def reasons(**changes):
    return CpuPagedBackend().check(dataclasses.replace(NEED, **changes), FACTS)


def test_a_usual_model_is_served():
    assert reasons() == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"device": "cuda"}, "device"),
        ({"dtype": "float16", "cache_dtype": "float16"}, "dtype"),
        ({"cache_dtype": "float32"}, "dtype"),
        ({"head_size": 576}, "head_size"),
    ],
)
def test_what_the_kernel_cannot_do_is_refused(changes, code):
    assert [reason.code for reason in reasons(**changes)] == [code]


def test_a_kernel_that_was_not_compiled_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(backend, "library_path", lambda: None)
    card = CpuPagedBackend()

    (reason,) = card.check(NEED, card.probe())

    assert "was not compiled" in reason.text
    assert "C++ compiler" in reason.remedy


def test_the_probe_asks_the_kernel_for_its_largest_head():
    assert CpuPagedBackend().probe() == FACTS


def test_the_threads_are_those_of_the_openmp_library_that_torch_runs_on():
    import torch

    if "USE_OPENMP=ON" not in torch.__config__.show():
        pytest.skip("this torch runs on another library")
    assert openmp_parallel()
