"""How layers are named, and what "auto" comes to."""

import pytest

from jackfield.cache import CacheGroup
from jackfield.dtypes import FLOAT32
from jackfield_torch.settings import heads_of_rank, subject_of


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((0,), "layers 0"),
        ((0, 1, 2), "layers 0-2"),
        ((0, 1, 3, 5, 6, 7), "layers 0-1, 3, 5-7"),
    ],
)
def test_layers_are_named_as_ranges(layers, words):
    group = CacheGroup(
        index=0, kind="full", layers=layers, num_kv_heads=1, head_size=1, dtype=FLOAT32
    )

    assert subject_of(group) == words


def test_key_value_heads_are_repeated_where_ranks_outnumber_them():
    assert [heads_of_rank(8, ranks) for ranks in (1, 4, 16)] == [8, 2, 1]
