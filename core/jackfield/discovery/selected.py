"""What was selected, made where it runs: how a worker gets the weights and the parts that its activation plan names."""

from __future__ import annotations

from typing import Any

from jackfield.activation import ActivationPlan
from jackfield.discovery.kinds import WEIGHT_FORMATS
from jackfield.discovery.loading import load_target
from jackfield.interfaces.weights import Checkpoint, WeightFormat
from jackfield.interfaces.worker import WorkerContext


def load_selected(plan: ActivationPlan, kind: str, subject: str | None = None) -> Any:
    """The card of `kind` that the plan names for `subject` (None: the only subject of that kind).

    Raises PluginNotFound, and PluginLoadError where the plugin does not load in this process.
    """
    return load_target(plan.selected(kind, subject))


def open_checkpoint(context: WorkerContext) -> Checkpoint:
    """The model's weights, read by the selected format; the caller closes it. Raises CheckpointError."""
    weight_format: WeightFormat = load_selected(context.activation, WEIGHT_FORMATS)
    return weight_format.open(context.files)
