"""What passes between an executor and the loop that runs a worker: commands one way, replies the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jackfield.activation import PluginRef
from jackfield.errors import JackfieldError, WorkerError
from jackfield.interfaces.worker import WorkerReport
from jackfield.step import LateInputs, StepPlan, StepResult


@dataclass(frozen=True, slots=True)
class Start:
    """The first message to a process."""

    context: bytes  # a pickled WorkerContext: what fails to unpickle is reported like all else
    digest: str  # of the activation plan, as the parent knows it
    platform: PluginRef | None = None  # whose worker it is, for messages


@dataclass(frozen=True, slots=True)
class WhereAreYou:
    """Asks a process for WhereIAm, which comes even while its worker hangs in Python code."""


@dataclass(frozen=True, slots=True)
class WhereIAm:
    """The stack of the worker's thread."""

    stack: str


@dataclass(frozen=True, slots=True)
class Load:
    """Answered by Loaded."""


@dataclass(frozen=True, slots=True)
class Allocate:
    """Answered by Allocated. Only the output rank sends its results back."""

    num_blocks: Sequence[int]
    is_output_rank: bool = True


@dataclass(frozen=True, slots=True)
class Submit:
    """Answered by Completed, in the order of submission."""

    plan: StepPlan


@dataclass(frozen=True, slots=True)
class Sample:
    """Not answered by itself."""

    step_id: int
    late: LateInputs


@dataclass(frozen=True, slots=True)
class Close:
    """Ends the loop and closes the worker."""


Command = Load | Allocate | Submit | Sample | Close


@dataclass(frozen=True, slots=True)
class Loaded:
    """The weights are there."""

    report: WorkerReport


@dataclass(frozen=True, slots=True)
class Allocated:
    """The cache is there."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A step is done; `result` comes from the output rank only."""

    step_id: int
    result: StepResult | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker raised, or its process died; nothing follows."""

    summary: str
    traceback: str = ""
    error: BaseException | None = None  # what it raised, if it can be carried

    def as_error(self) -> WorkerError:
        """The error for everything that waits on the worker."""
        failure = WorkerError(self.summary, self.traceback)
        failure.__cause__ = self.error
        return failure

    def as_start_error(self) -> JackfieldError:
        """The error for start-up, if a deliberate one of the worker (a broken checkpoint) says it best."""
        return self.error if isinstance(self.error, JackfieldError) else self.as_error()


Reply = Loaded | Allocated | Completed | Failed
