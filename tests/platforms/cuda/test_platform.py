"""What the card of CUDA says of saved facts."""

from jackfield.interfaces.platform import PlatformNeed
from jackfield_cuda.platform import CudaPlatform
from jackfield_testing.models import tiny_spec

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
