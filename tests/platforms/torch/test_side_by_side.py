"""Several threads build layers, and give the same list of layers as one thread."""

import threading

import pytest
import torch

from jackfield_torch.side_by_side import build_side_by_side

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_several_are_built_at_once_and_come_in_order():
    both = threading.Barrier(2, timeout=30)

    def build(index):
        both.wait()  # until another thread builds too
        return index, torch.is_inference_mode_enabled()

    with torch.inference_mode():
        built = build_side_by_side(build, range(4), CPU)

    assert built == tuple((index, True) for index in range(4))
    assert torch.get_num_threads() == 2


def test_what_one_of_them_raises_comes_out():
    def build(index):
        raise LookupError(f"layer {index}")

    with pytest.raises(LookupError, match="layer 0"):
        build_side_by_side(build, range(3), CPU)


def test_other_devices_build_one_by_one():
    threads = build_side_by_side(
        lambda _: threading.current_thread(), range(3), torch.device("meta")
    )

    assert set(threads) == {threading.current_thread()}
