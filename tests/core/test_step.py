"""A plan holds nothing that an old worker does not know of."""

from dataclasses import fields

import pytest

from jackfield.step import LateInputs, NewRow, StepPlan

# What every platform of v1 was written for. A field that comes later is asked of the platform first, by a field of
# PlatformNeed (docs/compatibility.md) or a feature of the request, and then listed here with what asks for it:
# platform.num_drafts for `drafts`; pooling for `pools`, `pooling` and `second_text`.
KNOWN = {
    StepPlan: "step_id removed_rows new_rows copies replaced_blocks new_blocks rows num_tokens samples pools "
    "drafts awaits_late sections",
    NewRow: "row token_ids num_prompt_tokens num_computed block_ids sampling seed end_token_ids "
    "pooling second_text",
    LateInputs: "masks sections",
}


@pytest.mark.parametrize("cls", KNOWN, ids=lambda cls: cls.__name__)
def test_a_new_field_of_a_plan_is_asked_of_the_platform(cls):
    assert [item.name for item in fields(cls)] == KNOWN[cls].split()
