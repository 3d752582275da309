"""Messages between an executor and the loop that runs a worker: commands one way, replies the other."""

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

    context: bytes  # a pickled WorkerContext; bytes, so that a failure to unpickle is reported
    digest: str  # digest of the activation plan in the parent
    platform: PluginRef | None = None  # the platform of the worker, for messages


@dataclass(frozen=True, slots=True)
class WhereAreYou:
    """Asks a process for WhereIAm. The answer comes even if its worker hangs in Python code."""


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
    """Has no answer of its own."""

    step_id: int
    late: LateInputs


@dataclass(frozen=True, slots=True)
class Close:
    """Ends the loop and closes the worker."""


Command = Load | Allocate | Submit | Sample | Close


@dataclass(frozen=True, slots=True)
class Loaded:
    """The weights are loaded."""

    report: WorkerReport


@dataclass(frozen=True, slots=True)
class Allocated:
    """The cache is made."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A step is done; `result` comes from the output rank only."""

    step_id: int
    result: StepResult | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker raised, or its process died. No other reply follows."""

    summary: str
    traceback: str = ""
    error: BaseException | None = None  # the worker's error, if it can be pickled

    def as_error(self) -> WorkerError:
        """The error for all callers that wait on the worker."""
        failure = WorkerError(self.summary, self.traceback)
        failure.__cause__ = self.error
        return failure

    def as_start_error(self) -> JackfieldError:
        """The error for start-up. An error that the worker raised on purpose (a broken checkpoint) is taken itself."""
        return self.error if isinstance(self.error, JackfieldError) else self.as_error()


Reply = Loaded | Allocated | Completed | Failed
