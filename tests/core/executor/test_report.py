import pytest

from jackfield.cache import FULL, CacheGroup, key_and_value
from jackfield.dtypes import FLOAT32
from jackfield.errors import EngineError
from jackfield.executor.report import merge_reports, output_rank
from jackfield.interfaces.worker import WorkerReport
from jackfield.step import StepLimits


def report(*, head_size=4, block_bytes=(10,), cache_bytes=100, max_rows=8, output=True):
    group = CacheGroup(
        index=0, kind=FULL, layers=(0,), tensors=key_and_value(1, head_size, FLOAT32)
    )
    return WorkerReport(
        groups=(group,),
        block_bytes=block_bytes,
        cache_bytes=cache_bytes,
        limits=StepLimits(max_rows=max_rows, max_step_tokens=64),
        is_output_rank=output,
    )


def test_the_tightest_of_all_ranks_holds():
    merged = merge_reports(
        [report(cache_bytes=90, max_rows=9), report(block_bytes=(12,), max_rows=7)]
    )

    assert (merged.cache_bytes, merged.block_bytes, merged.limits.max_rows) == (90, (12,), 7)


def test_ranks_must_agree_on_the_groups():
    with pytest.raises(EngineError, match="rank 1 reports other cache groups"):
        merge_reports([report(), report(head_size=8)])


def test_the_first_that_says_so_is_the_output_rank():
    assert output_rank([report(output=False), report(), report()]) == 1


def test_one_must_be_the_output_rank():
    with pytest.raises(EngineError, match="none of the 2 ranks"):
        output_rank([report(output=False)] * 2)
