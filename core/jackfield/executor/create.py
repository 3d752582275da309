"""How a worker is made where it runs: from the activation plan and nothing else."""

from __future__ import annotations

from jackfield.discovery.kinds import PLATFORMS
from jackfield.discovery.loading import load_target
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.worker import Worker, WorkerContext


def create_worker(context: WorkerContext) -> Worker:
    """The worker of `context.rank` on the platform of the activation plan."""
    platform: Platform = load_target(context.activation.selected(PLATFORMS))
    return platform.create_worker(context)
