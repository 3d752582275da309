"""Small arrays reach the device in one piece and come out as they were."""

import numpy as np
import torch

from jackfield_torch.staging import Staging, pack, unpack

ARRAYS = [
    np.arange(5),
    np.arange(6, dtype=np.int32).reshape(2, 3)[:, ::-1],
    np.zeros((3, 0), np.int64),
    np.array([0.5], np.float32),
]


def test_packed_arrays_are_unpacked_as_they_were():
    found = unpack(pack(ARRAYS), ARRAYS)

    for tensor, array in zip(found, ARRAYS, strict=True):
        assert tensor.numpy().dtype == array.dtype
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_packed_arrays_share_one_piece_of_memory():
    found = unpack(pack(ARRAYS), ARRAYS)

    assert len({tensor.untyped_storage().data_ptr() for tensor in found}) == 1


def test_on_the_host_nothing_is_copied():
    array = np.arange(3)

    (tensor,) = Staging(torch.device("cpu")).upload([array])

    assert tensor.data_ptr() == array.ctypes.data
