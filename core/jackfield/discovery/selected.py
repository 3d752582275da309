"""What was selected, made where it runs: how a worker gets the weights and the parts that its activation plan names."""

from __future__ import annotations

from typing import Any

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.discovery.kinds import (
    CORE_KINDS,
    PLATFORMS,
    WEIGHT_FORMATS,
    Kind,
    kind_of,
    runtime_kind,
)
from jackfield.discovery.loading import load_target
from jackfield.discovery.local import LOCAL
from jackfield.discovery.scan import installed_version
from jackfield.errors import PluginDrift
from jackfield.interfaces.weights import Checkpoint, WeightFormat
from jackfield.interfaces.worker import WorkerContext


def load_selected(plan: ActivationPlan, kind: str, subject: str | None = None) -> Any:
    """The card of `kind` that the plan names for `subject` (None: the only subject of that kind).

    Raises PluginNotFound, and PluginLoadError where the plugin does not load in this process.
    """
    ref = plan.selected(kind, subject)
    return load_target(ref, _kind_in(plan, ref))


def _kind_in(plan: ActivationPlan, ref: PluginRef) -> Kind:
    """The kind of a plugin with the adapters that its runtime's platform brings."""
    is_of_runtime = ref.kind not in CORE_KINDS
    platforms = [s.plugin for s in plan.selections if s.plugin.kind == PLATFORMS and is_of_runtime]
    for platform in map(load_target, platforms):
        majors = platform.serves.get(ref.kind, ())
        adapters, base = platform.adapters.get(ref.kind), platform.bases.get(ref.kind)
        return runtime_kind(ref.kind, majors, adapters, base)
    return kind_of(ref.kind)


def check_installed(plan: ActivationPlan) -> None:
    """Raise PluginDrift where this process would run another version of a selected plugin than the plan names."""
    for ref in {selection.plugin for selection in plan.selections}:
        found = ref.version if ref.distribution == LOCAL else installed_version(ref.distribution)
        if found not in (
            ref.version,
            None,
        ):  # None: what is not installed fails when it is imported
            raise PluginDrift(
                f"the plan selects {ref.name} of {ref.distribution} {ref.version}, but here {found} is installed. "
                "Install the same version in both places, and start the engine again"
            )


def open_checkpoint(context: WorkerContext) -> Checkpoint:
    """The model's weights, read by the selected format; the caller closes it. Raises CheckpointError."""
    weight_format: WeightFormat = load_selected(context.activation, WEIGHT_FORMATS)
    return weight_format.open(context.files)
