import pytest
import torch

from jackfield.model_spec import Offset, Permute, Split, Transpose
from jackfield_torch.transforms import apply_transforms


def test_a_matrix_is_transposed_and_a_vector_passes():
    matrix, vector = torch.arange(6).view(2, 3), torch.arange(3)

    assert apply_transforms(matrix, [Transpose()]).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert apply_transforms(vector, [Transpose()]).tolist() == [0, 1, 2]


def test_a_split_after_a_transpose_takes_outputs():
    stored_IO = torch.arange(8).view(2, 4)

    taken = apply_transforms(stored_IO, [Transpose(), Split(1, 3)])

    assert taken.tolist() == [[1, 5], [2, 6]]


def test_an_offset_is_added_to_every_element():
    assert apply_transforms(torch.tensor([-0.5, 0.0]), [Offset(1.0)]).tolist() == [0.5, 1.0]


def test_a_permutation_puts_the_first_of_all_pairs_of_a_head_before_the_second():
    rows = torch.arange(8).view(8, 1)  # two heads of four

    permuted = apply_transforms(rows, [Permute(num_heads=2)])

    assert permuted.flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize("transform", [Split(2, 5), Permute(num_heads=3)])
def test_a_transform_that_does_not_fit_the_tensor_is_refused(transform):
    with pytest.raises(ValueError, match="axis 0|rows 2 to 5"):
        apply_transforms(torch.zeros(4, 2), [transform])
