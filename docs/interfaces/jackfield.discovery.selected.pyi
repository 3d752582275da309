# Part of: jackfield.platforms.v1
from typing import Any
from jackfield.activation import ActivationPlan
from jackfield.activation import PluginRef
from jackfield.interfaces.weights import Checkpoint
from jackfield.interfaces.worker import WorkerContext
def load_selected(plan: ActivationPlan, kind: str) -> Any:
    ...
def load_plugin(plan: ActivationPlan, ref: PluginRef) -> Any:
    ...
def check_installed(plan: ActivationPlan) -> None:
    ...
def open_checkpoint(context: WorkerContext) -> Checkpoint:
    ...
