"""Platforms: which device there is, what it prefers, and how a worker for it is made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from jackfield.config import EngineConfig, Scalar
from jackfield.interfaces.card import Card, Facts
from jackfield.interfaces.worker import Worker, WorkerContext
from jackfield.model_spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoicePoint:
    """A selection that an engine on this platform needs, beyond those of the core.

    The core makes it: candidates are the plugins of `kind`, ordered by the user's word (`select.<setting>`), then
    by `preference`, then by name. `match` are the facts that rules in the config may match on.
    """

    kind: str  # "jackfield_torch.attention_backends"
    setting: str  # "attention"
    subject: str  # in words, for people: "layers 0-29"
    need: Any  # a frozen dataclass; its non-default fields are named features
    preference: tuple[str, ...] = ()  # names, the first that fits is taken; others come after them
    match: Mapping[str, Scalar] = field(default_factory=dict)  # None: differs within the subject
    merit: str = ""  # figures that the preference rests on, in words, for `explain`
    remedy: str = ""  # what to do if nothing fits: a sentence for the error
    # The modules that it is for, "layers.0"; () means the whole model. Workers find their plugin by these names.
    covers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RankShape:
    """How a platform realises a degree of parallelism: as so many processes with so many devices each."""

    processes: int = 1  # workers that share each layer
    devices: int = 1  # that each of them drives
    # What a device is called by a scheduler that shares devices out: "GPU", "TPU"; empty for a host.
    resource: str = ""


class Platform(Card):
    """The card of a device. `check(need, facts)` gets a PlatformNeed; `features` are those of model specs.

    Facts are the platform's own, but `available_bytes`, memory free for weights and cache, is read by `explain`.
    """

    serves: ClassVar[Mapping[str, tuple[int, ...]]] = {}  # kinds of its runtime: majors
    bases: ClassVar[Mapping[str, type]] = {}  # kinds of its runtime: what their cards extend
    # Kind of its runtime whose plugins requests may name (`SamplingParams.logits_processors`); empty: it has none.
    logits_processors: ClassVar[str] = ""
    precedence: ClassVar[int] = 0  # the highest is asked first; hosts 0, accelerators above

    def defaults(self, facts: Facts) -> Mapping[str, Scalar]:
        """Settings ("section.key") that suit this device better than the core's defaults. The user's win."""
        return {}

    def rank_shape(self, tensor_parallel: int, facts: Facts) -> RankShape:
        """How `executor.tensor_parallel` is realised. Default: a process with one device for each."""
        return RankShape(processes=tensor_parallel)

    @abstractmethod
    def choices(
        self, spec: ModelSpec, config: EngineConfig, facts: Facts
    ) -> tuple[ChoicePoint, ...]:
        """What else must be selected for this model. Pure: must not import the runtime."""

    @abstractmethod
    def create_worker(self, context: WorkerContext) -> Worker:
        """The worker of `context.rank`. Runs in the worker's process; heavy imports happen here.

        Raises an error of jackfield.errors if the device cannot be used.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformNeed:
    """What an engine asks of a platform."""

    FEATURE: ClassVar[str] = "platform"

    model: ModelSpec  # its features are walked too
    dtype: str  # of weights and activations
    num_ranks: int = 1  # executor.tensor_parallel: the degree, however it is realised
    num_stages: int = 1  # executor.pipeline_parallel: workers that each have some of the layers
    num_drafts: int = 0  # tokens that a row's draft may have (StepPlan.drafts)
