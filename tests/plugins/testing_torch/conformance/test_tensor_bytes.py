"""Tensors are counted wherever they are held, and only those that came and stay."""

import torch

from jackfield_testing_torch.conformance.tensor_bytes import made_with_bytes

HELD_ELSEWHERE = []


def test_a_tensor_is_found_in_whatever_holds_it():
    def make():
        weight = torch.zeros(100)
        HELD_ELSEWHERE.append(torch.zeros(10))
        return lambda: weight

    _, num_bytes = made_with_bytes(make)

    assert num_bytes == 4 * 110


def test_views_count_once_and_as_all_of_their_memory():
    _, num_bytes = made_with_bytes(lambda: [torch.zeros(100)[:1]] * 2)

    assert num_bytes == 400


def test_what_was_there_or_is_gone_does_not_count():
    there = torch.zeros(100)

    _, num_bytes = made_with_bytes(lambda: torch.zeros(50).sum().item() and there)

    assert num_bytes == 0


def test_a_layout_without_memory_of_its_own_counts_its_elements():
    _, num_bytes = made_with_bytes(lambda: torch.zeros(10, 10).to_mkldnn())

    assert num_bytes == 400
