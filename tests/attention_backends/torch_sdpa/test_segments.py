"""Rows of one query are put together so that little is padded."""

import pytest

from jackfield_torch_sdpa.segments import Span, make_buckets


def make_spans(widths):
    return [
        Span(row=row, token=row, num_queries=1, first=0, length=width)
        for row, width in enumerate(widths)
    ]


@pytest.mark.parametrize(
    "widths", [[100] * 32, list(range(64, 512, 14)), [1, 8000], [8000, 7900, 30, 20, 10], [5], []]
)
def test_padding_is_bounded(widths):
    buckets = list(make_buckets(make_spans(widths)))

    assert sorted(s.width for bucket in buckets for s in bucket) == sorted(widths)
    for bucket in buckets:
        used = sum(span.width for span in bucket)
        padded = len(bucket) * bucket[0].width - used
        assert padded <= 512 + used // 8


def test_rows_of_like_width_share_a_call():
    assert len(list(make_buckets(make_spans([100, 101, 99, 120])))) == 1


def test_a_long_row_does_not_stretch_the_short_ones():
    buckets = list(make_buckets(make_spans([10, 8000, 12])))

    assert [[span.width for span in bucket] for bucket in buckets] == [[8000], [12, 10]]
