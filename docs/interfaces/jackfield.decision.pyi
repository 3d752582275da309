# Part of: jackfield.commands.v1, jackfield.endpoints.v1, jackfield.executors.v1, jackfield.hooks.v1, jackfield.model_sources.v1, jackfield.platforms.v1, jackfield.reasoning_parsers.v1, jackfield.schedulers.v1, jackfield.speculators.v1, jackfield.structured_output.v1, jackfield.tokenizers.v1, jackfield.tool_parsers.v1, jackfield.weight_formats.v1, jackfield_torch.adapters.v1, jackfield_torch.attention_backends.v1, jackfield_torch.logits_processors.v1, jackfield_torch.quantization.v1
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from enum import StrEnum
from typing import Any
@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    text: str
    remedy: str = ''

    def __str__(self) -> str:
        ...
class Verdict(StrEnum):
    CHOSEN = 'chosen'
    ACCEPTED = 'accepted'
    NOT_ASKED = 'not asked'
    REFUSED = 'refused'
    FAILED = 'failed'
    INCOMPATIBLE = 'incompatible'
@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    name: str
    distribution: str
    version: str
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    kind: str
    subject: str
    chosen: str | None
    decided_by: str
    candidates: tuple[Candidate, ...] = field(default=())
    covers: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    match: Mapping[str, object] = field(default_factory=dict, hash=False)

    def line(self) -> str:
        ...

    def refusals(self) -> str:
        ...

    def report(self) -> str:
        ...
def decision_of(values: Mapping[str, Any]) -> Decision:
    ...
def summary(decisions: Iterable[Decision]) -> str:
    ...
