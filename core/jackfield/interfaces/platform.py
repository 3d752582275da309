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
    """A selection that an engine on this platform needs, beyond the selections of the core.

    The core makes the selection. Candidates are the plugins of `kind`, ordered by the user's choice
    (`select.<setting>`), then by `preference`, then by name. Rules in the config may match on the facts in `match`.
    """

    kind: str  # kind of plugin, such as "jackfield_torch.attention_backends"
    setting: str  # name of the setting, such as "attention"
    subject: str  # what the selection is for, in words: "layers 0-29"
    need: Any  # a frozen dataclass; its non-default fields are named features
    # Names in order of preference; the first that fits is taken. Candidates that are not named come after them.
    preference: tuple[str, ...] = ()
    # Facts for rules in the config. None: the value differs within the subject.
    match: Mapping[str, Scalar] = field(default_factory=dict)
    # The figures that the preference rests on, in words, for `explain`.
    merit: str = ""
    remedy: str = ""  # a sentence for the error if nothing fits: what the user can do
    # The modules that the selection is for, such as "layers.0"; () means the whole model. Workers find their plugin by
    # these names.
    covers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RankShape:
    """How a platform realises a degree of parallelism: a number of processes, each with a number of devices."""

    processes: int = 1  # workers that share each layer
    devices: int = 1  # devices that each worker drives
    # What a scheduler that shares devices out calls a device: "GPU", "TPU"; empty for a host.
    resource: str = ""


class Platform(Card):
    """The card of a device. `check(need, facts)` gets a PlatformNeed; `features` are features of model specs.

    A platform chooses its own facts, but `explain` reads `available_bytes`: memory free for weights and cache.
    """

    serves: ClassVar[Mapping[str, tuple[int, ...]]] = {}  # kinds of its runtime, with their majors
    bases: ClassVar[
        Mapping[str, type]
    ] = {}  # kinds of its runtime, with the class that their cards extend
    # The kind of its runtime whose plugins requests may name (`SamplingParams.logits_processors`); empty if there is
    # none.
    logits_processors: ClassVar[str] = ""
    # The kind of its runtime whose plugins read adapters (`SamplingParams.adapter`); empty if there is none. Then a
    # choice point of `choices` has this kind if the config names adapters, and a plan may have the section `adapters`.
    adapters: ClassVar[str] = ""
    # The platform with the highest number is asked first. Hosts have 0, accelerators more.
    precedence: ClassVar[int] = 0

    def adapted_modules(self, spec: ModelSpec) -> frozenset[str]:
        """The linears to which adapters can add something; none by default."""
        return frozenset()

    def defaults(self, facts: Facts) -> Mapping[str, Scalar]:
        """Settings ("section.key") that suit this device better than the core's defaults. The user's settings win."""
        return {}

    def rank_shape(self, tensor_parallel: int, facts: Facts) -> RankShape:
        """How `executor.tensor_parallel` is realised. By default each rank is one process with one device."""
        return RankShape(processes=tensor_parallel)

    @abstractmethod
    def choices(
        self, spec: ModelSpec, config: EngineConfig, facts: Facts
    ) -> tuple[ChoicePoint, ...]:
        """The other selections that this model needs. Pure: must not import the runtime."""

    @abstractmethod
    def create_worker(self, context: WorkerContext) -> Worker:
        """Make the worker of `context.rank`. Runs in the worker's process; heavy imports happen here.

        Raises an error of jackfield.errors if the device cannot be used.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformNeed:
    """What an engine asks of a platform."""

    FEATURE: ClassVar[str] = "platform"

    model: ModelSpec  # its features count too
    dtype: str  # dtype of weights and activations
    num_ranks: int = 1  # executor.tensor_parallel: the degree, however it is realised
    num_stages: int = 1  # executor.pipeline_parallel: workers that each have some of the layers
    num_drafts: int = 0  # most tokens in a row's draft (StepPlan.drafts)
    num_adapters: int = 0  # adapters that the config names
