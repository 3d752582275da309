from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from jackfield_testing_torch.conformance.threads import one_thread


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_of_a_worker():
    torch.set_num_threads(2)  # as a platform does
    return torch.get_num_threads()


def test_a_kit_computes_on_one_thread_whatever_a_platform_sets(two_threads):
    with one_thread(), ThreadPoolExecutor() as pool:
        threads = {torch.get_num_threads(), pool.submit(threads_of_a_worker).result()}

    assert threads == {1}


def test_the_number_of_threads_is_what_it_was_before(two_threads):
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 / 0

    assert torch.get_num_threads() == 2
    assert threads_of_a_worker() == 2
