# Part of: jackfield_testing 0.1
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import ClassVar
import pytest
from jackfield.client import LLM
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.worker import Worker
from jackfield.request import CompletionOutput
from jackfield.sampling import SamplingParams
from jackfield.step import TokenLogprobs
from jackfield_testing.conformance.card import CardKit
GREEDY = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
RANDOM = SamplingParams(max_tokens=12, temperature=0.9, seed=7, ignore_eos=True)
LOGPROB_ERROR = 0.001
MAX_BLOCKS = 32
Change = Callable[[Worker], object]
class PlatformRuns(CardKit):
    dtype: ClassVar[str] = 'float32'
    settings: ClassVar[Mapping[str, Any]] = {}

    def open(self, folder: Path, settings: Mapping[str, Any] | None=None) -> LLM:
        ...

    @property
    def block_size(self) -> int:
        ...

    @property
    def prompts(self) -> tuple[list[int], ...]:
        ...

    def change_workers(self, patch: pytest.MonkeyPatch, card: type[Platform], change: Change) -> list[bool]:
        ...

    def require_sampling(self, params: SamplingParams) -> None:
        ...

    def require_reached(self, changed: Sequence[bool]) -> None:
        ...
def answer(llm: LLM, prompts: Sequence[list[int]], params: SamplingParams) -> list[list[int]]:
    ...
def check_answers(found: Sequence[list[int]], expected: Sequence[list[int]], prompts: Sequence[list[int]], settings: Mapping[str, Any]) -> None:
    ...
def entries(output: CompletionOutput) -> Sequence[TokenLogprobs]:
    ...
def next_logprobs(llm: LLM, prompt: list[int]) -> dict[int, float]:
    ...
def logprobs(entry: TokenLogprobs) -> dict[int, float]:
    ...
def distance(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    ...
def settled(is_true: Callable[[], bool]) -> bool:
    ...
