"""The card of the reference platform: a device in pure Python, on which the whole engine runs without hardware."""

from __future__ import annotations

from typing import ClassVar

from jackfield.config import EngineConfig
from jackfield.interfaces.card import Facts
from jackfield.interfaces.platform import ChoicePoint, Platform
from jackfield.interfaces.worker import Worker, WorkerContext
from jackfield.model_spec import ModelSpec
from jackfield_testing.options import ReferenceOptions


class ReferencePlatform(Platform):
    """Reads no weights and invents its tokens: each token is a hash of everything in the cache of its request.

    So every error in block tables, copies, prefix hits or windows changes the answer, or the worker notices it.
    """

    features: ClassVar[frozenset[str]] = frozenset({"*"})  # the model's features do not matter
    options: ClassVar[type | None] = ReferenceOptions
    only_named: ClassVar[bool] = True

    def choices(
        self, spec: ModelSpec, config: EngineConfig, facts: Facts
    ) -> tuple[ChoicePoint, ...]:
        """Empty: nothing else is selected."""
        return ()

    def create_worker(self, context: WorkerContext) -> Worker:
        """Make the worker of one rank."""
        from jackfield_testing.worker import ReferenceWorker

        return ReferenceWorker(context)
