"""Makes a worker in the place where it runs, from the activation plan alone."""

from __future__ import annotations

from jackfield.discovery.kinds import PLATFORMS
from jackfield.discovery.loading import calling, load_target, returned
from jackfield.discovery.stdout import prints_to_stderr
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.worker import Worker, WorkerContext


def create_worker(context: WorkerContext) -> Worker:
    """The worker of `context.rank` on the platform of the activation plan."""
    ref = context.activation.selected(PLATFORMS)
    platform: Platform = load_target(ref)
    with calling(ref, "create the worker of"), prints_to_stderr():
        worker: Worker = returned(platform.create_worker(context), Worker, "create_worker")
    return worker
