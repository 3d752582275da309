"""The part of the heads that a rank holds."""

from jackfield_torch.settings import heads_of_rank


def test_key_value_heads_are_repeated_where_ranks_outnumber_them():
    assert [heads_of_rank(8, ranks) for ranks in (1, 4, 16)] == [8, 2, 1]
