# Part of: jackfield_testing 0.1
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from jackfield.step import LateInputs
from jackfield.step import StepPlan
from jackfield.step import StepResult
def whole_plan(step_id: int) -> StepPlan:
    ...
def whole_late() -> LateInputs:
    ...
def whole_result(step_id: int, token_ids: Sequence[int], sections: Mapping[str, Any] | None=None) -> StepResult:
    ...
def described(value: Any) -> str:
    ...
