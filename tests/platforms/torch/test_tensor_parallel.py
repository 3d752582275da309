"""How ranks find each other, and what an executor may not do."""

import pytest

from jackfield.errors import WorkerError
from jackfield_torch import tensor_parallel
from jackfield_torch.tensor_parallel import join_ranks


def test_a_rank_without_a_rendezvous_says_who_must_set_it():
    with pytest.raises(WorkerError, match=r"rank 1 of 2 .*WorkerContext\.rendezvous"):
        join_ranks(1, 2, "", "gloo", 1.0)


def test_a_second_rank_in_one_process_is_refused_instead_of_waiting_for_ever():
    with (
        tensor_parallel._in_this_process,
        pytest.raises(WorkerError, match="a process of its own"),
    ):
        join_ranks(1, 2, "tcp://127.0.0.1:1", "gloo", 1.0)


def test_a_rank_that_did_not_find_the_others_leaves_the_process_free(tmp_path):
    for _ in range(2):  # the second attempt gets as far as the first
        with pytest.raises(Exception, match=r"(?i)time|connect"):
            join_ranks(0, 2, f"file://{tmp_path / 'meet'}", "gloo", 0.5)
