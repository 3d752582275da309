# Part of: jackfield.executors.v1, jackfield.hooks.v1, jackfield.platforms.v1, jackfield.structured_output.v1
from collections.abc import Hashable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from enum import StrEnum
from typing import Any
from typing import ClassVar
from typing import Literal
class OpenFloat(float):
    ...
class OpenInt(int):
    ...
class OpenTexts(tuple[str, ...]):
    ...
MAX_TOKENS: int = OpenInt(128)
OPEN_STOP: tuple[str, ...] = OpenTexts()
class OutputKind(StrEnum):
    CUMULATIVE = 'cumulative'
    DELTA = 'delta'
    FINAL = 'final'
@dataclass(frozen=True, slots=True)
class Structured:
    form: str
    value: Hashable

    @classmethod
    def of(cls, given: Any) -> Structured:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class BeamSearch:
    width: int
    length_penalty: float = 1.0
    early_stopping: bool | Literal['never'] = False

    @classmethod
    def of(cls, given: Any) -> BeamSearch:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    FEATURE: ClassVar[str] = 'sampling'
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({'n', 'max_tokens', 'temperature', 'seed', 'stop', 'include_stop', 'stop_token_ids', 'ignore_eos', 'skip_special_tokens', 'output_kind', 'beam_search', 'adapter'})
    n: int = 1
    max_tokens: int | None = MAX_TOKENS
    min_tokens: int = OpenInt(0)
    temperature: float = OpenFloat(1.0)
    top_p: float = OpenFloat(1.0)
    top_k: int = OpenInt(0)
    min_p: float = OpenFloat(0.0)
    repetition_penalty: float = OpenFloat(1.0)
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=lambda: _NO_BIAS)
    allowed_token_ids: tuple[int, ...] | None = None
    bad_words: tuple[str | tuple[int, ...], ...] = ()
    logits_processors: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _NO_PROCESSORS)
    seed: int | None = None
    adapter: str = ''
    stop: str | tuple[str, ...] = OPEN_STOP
    include_stop: bool = False
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    skip_special_tokens: bool = True
    structured: Structured | Mapping[str, Any] | None = None
    beam_search: BeamSearch | Mapping[str, Any] | int | None = None
    output_kind: OutputKind = OutputKind.CUMULATIVE

    def with_defaults(self, values: Mapping[str, Any]) -> SamplingParams:
        ...

    @property
    def is_greedy(self) -> bool:
        ...

    def computes_within(self, num_prompt_tokens: int, length: int) -> bool:
        ...

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SamplingParams:
        ...
