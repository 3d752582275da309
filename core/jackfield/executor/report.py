"""One report for all ranks of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from jackfield.errors import EngineError
from jackfield.interfaces.worker import WorkerReport
from jackfield.step import StepLimits


def output_rank(reports: Sequence[WorkerReport]) -> int:
    """The rank whose results count: the first one whose report says so."""
    for rank, report in enumerate(reports):
        if report.is_output_rank:
            return rank
    raise EngineError(f"none of the {len(reports)} ranks is the output rank; one must be")


def merge_reports(reports: Sequence[WorkerReport]) -> WorkerReport:
    """A report that holds for all ranks: least memory, largest blocks, tightest limits.

    Raises EngineError if ranks disagree on the cache groups: they would read block tables differently.
    """
    first = reports[output_rank(reports)]
    for rank, report in enumerate(reports):
        if report.groups != first.groups:
            raise EngineError(
                f"rank {rank} reports other cache groups than the output rank: {report.groups} and "
                f"{first.groups}. All ranks must hold the same groups; this is a fault of the platform"
            )
    return replace(
        first,
        block_bytes=tuple(map(max, zip(*(report.block_bytes for report in reports), strict=True))),
        cache_bytes=min(report.cache_bytes for report in reports),
        limits=reduce(StepLimits.intersect, (report.limits for report in reports)),
    )
