"""What the card of CUDA says of saved facts."""

import json
from pathlib import Path

from jackfield.interfaces.platform import PlatformNeed
from jackfield_cuda.platform import CudaPlatform
from jackfield_testing.models import tiny_spec
from jackfield_torch.interfaces.attention_backend import AttentionNeed

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "gpu"

H200 = {
    "name": "NVIDIA H200",
    "capability": 90,
    "count": 1,
    "total_bytes": 150_000_000_000,
    "driver": "580.159",
    "cuda": "13.0",
    "torch": "2.11.0+cu130",
    "torch_cuda": "13.0",
}


def check(facts, **need):
    wanted = PlatformNeed(model=tiny_spec(), dtype=need.pop("dtype", "bfloat16"), **need)
    return CudaPlatform().check(wanted, {**H200, **facts})


def test_a_card_that_serves_is_not_refused():
    assert check({}) == ()


def test_a_torch_without_cuda_is_refused_with_the_way_out():
    (reason,) = check({"torch": "2.11.0+cpu", "torch_cuda": ""})

    assert "was built without CUDA" in str(reason)


def test_a_driver_older_than_the_build_of_torch_is_refused():
    (reason,) = check({"cuda": "12.4"})

    assert "driver 580.159 runs CUDA up to 12.4" in str(reason)


def test_more_ranks_than_cards_are_refused():
    assert any("2 ranks need as many cards" in str(reason) for reason in check({}, num_ranks=2))


def test_a_machine_without_a_card_is_refused_with_the_reason():
    (reason,) = CudaPlatform().check(
        PlatformNeed(model=tiny_spec(), dtype="auto"), {"no_card": "no NVIDIA driver answers"}
    )

    assert "no NVIDIA driver answers" in str(reason)


def order(**need):
    plain = {"device": "cuda", "dtype": "bfloat16", "cache_dtype": "bfloat16"}
    shape = {"num_heads": 32, "num_kv_heads": 8, "head_size": 128, "block_size": 16}
    return CudaPlatform().attention_order(AttentionNeed(**{**plain, **shape, **need}))


def test_the_order_of_attention_backends_rests_on_figures_that_were_measured():
    names, why = order()
    measured = json.loads((RESULTS / "h200_attention.json").read_text())["records"]
    decode = {
        r["backend"]: r["ms"]
        for r in measured
        if r["work"] == "decode 64 x 1000" and r.get("right")
    }

    assert [name for name in names if name in decode] == sorted(decode, key=decode.get)
    assert all(f"{name} {ms:.3f}" in why for name, ms in decode.items())


def test_layers_whose_cache_has_8_bits_ask_those_that_read_it_first():
    assert order(cache_dtype="float8_e4m3")[0][0] == "flashinfer"
