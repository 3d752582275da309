"""Makes the selected plugins where they run: a worker gets its weights and parts from the activation plan."""

from __future__ import annotations

from typing import Any

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.discovery.content import fingerprint
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


def load_selected(plan: ActivationPlan, kind: str) -> Any:
    """The card of a kind of which an engine has one plugin. Raises PluginNotFound or PluginLoadError."""
    return load_plugin(plan, plan.selected(kind))


def load_plugin(plan: ActivationPlan, ref: PluginRef) -> Any:
    """The card of a plugin in the plan. Raises PluginLoadError if it does not load in this process."""
    return load_target(ref, _kind_in(plan, ref))


def _kind_in(plan: ActivationPlan, ref: PluginRef) -> Kind:
    """The kind of a plugin, with the base class that its runtime's platform gives."""
    is_of_runtime = ref.kind not in CORE_KINDS
    platforms = [s.plugin for s in plan.selections if s.plugin.kind == PLATFORMS and is_of_runtime]
    for platform in map(load_target, platforms):
        majors = platform.serves.get(ref.kind, ())
        return runtime_kind(ref.kind, majors, platform.bases.get(ref.kind))
    return kind_of(ref.kind)


def check_installed(plan: ActivationPlan) -> None:
    """Raise PluginDrift if this process has another distribution than the plan: another version, or other content.

    Local files are checked when they are loaded.
    """
    selected = {s.plugin.distribution: s.plugin for s in plan.selections}
    for name, ref in selected.items():
        if name == LOCAL:
            continue
        found = installed_version(name)
        if found != ref.version:
            here = f"{found} is" if found else "no such distribution is"
            raise _drift(ref, f"here {here} installed")
        stated = plan.contents.get(name)
        if stated and fingerprint(name) != stated:
            raise _drift(
                ref,
                f"its content here is another: {stated[:12]} there, {fingerprint(name)[:12] or 'unknown'} here",
            )


def _drift(ref: PluginRef, here: str) -> PluginDrift:
    return PluginDrift(
        f"the plan selects {ref.name} of {ref.distribution} {ref.version}, but {here}. "
        f"Install the same one in both places (pip install --force-reinstall --no-deps {ref.distribution}=="
        f"{ref.version}), and start the engine again"
    )


def open_checkpoint(context: WorkerContext) -> Checkpoint:
    """The model's weights, opened by the selected format; the caller closes them. Raises CheckpointError."""
    weight_format: WeightFormat = load_selected(context.activation, WEIGHT_FORMATS)
    return weight_format.open(context.files)
