"""What a plan keeps from the step before."""

from types import SimpleNamespace

from jackfield.scheduler.plan_builder import KnownRows, PlanBuilder


def rows_of_step(known, decoding, searching=()):
    builder = PlanBuilder(budget=8, step_id=0)
    builder.searching += searching
    return builder.build((), [*decoding, *searching], known).plan.rows


def test_rows_are_looked_up_again_after_a_step_with_a_beam_search():
    known, request, beam = KnownRows(), SimpleNamespace(row=0), SimpleNamespace(row=1)
    assert rows_of_step(known, [request]) == [0]

    rows_of_step(known, [], [beam])  # the request was preempted, and computes its prompt elsewhere
    request.row = 2

    assert rows_of_step(known, [request]) == [2]
