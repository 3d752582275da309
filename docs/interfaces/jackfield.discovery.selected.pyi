# Part of: jackfield.platforms.v1
from typing import Any
from jackfield.activation import ActivationPlan
from jackfield.interfaces.weights import Checkpoint
from jackfield.interfaces.worker import WorkerContext
def load_selected(plan: ActivationPlan, kind: str, subject: str | None=None) -> Any:
    ...
def check_installed(plan: ActivationPlan) -> None:
    ...
def open_checkpoint(context: WorkerContext) -> Checkpoint:
    ...
