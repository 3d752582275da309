from dataclasses import MISSING, fields

import pytest

from jackfield.step import NewRow, StepPlan
from jackfield_testing.whole_step import described, whole_late, whole_plan, whole_result


@pytest.mark.parametrize(
    "value",
    [
        whole_plan(1),
        whole_plan(1).new_rows[0],
        whole_plan(1).new_rows[0].sampling,
        whole_late(),
        whole_result(1, [2]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_field_has_its_default(value):
    unset = []
    for field in fields(value):
        if field.name == "beam_search":  # a search takes none of most other fields
            continue
        made = None if field.default_factory is MISSING else field.default_factory()
        if getattr(value, field.name) in (field.default, made):
            unset.append(field.name)

    assert unset == []


def test_a_list_is_described_as_a_tuple_is():
    assert described(StepPlan(step_id=0, rows=[1])) == described(StepPlan(step_id=0, rows=(1,)))


def test_what_differs_deep_inside_is_described_otherwise():
    one, other = whole_plan(0), whole_plan(0)
    other.new_rows[0].token_ids[1] += 1
    assert isinstance(other.new_rows[0], NewRow)

    assert described(one) != described(other)
