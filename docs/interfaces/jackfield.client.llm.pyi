# Part of: jackfield 0.1
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from jackfield.client.client import Client
from jackfield.engine.prompt import ChatMessage
from jackfield.engine.prompt import Prompts
from jackfield.pooling import PoolingParams
from jackfield.request import PoolingOutput
from jackfield.request import RequestOutput
from jackfield.request import ScoreOutput
from jackfield.sampling import SamplingParams
class LLM(Client):

    def generate(self, prompts: Prompts, sampling_params: SamplingParams | Sequence[SamplingParams] | None=None, *, progress: bool=False, priority: int | Sequence[int]=0, cache_salt: str | Sequence[str]='') -> list[RequestOutput]:
        ...

    def chat(self, messages: Sequence[ChatMessage] | Sequence[Sequence[ChatMessage]], sampling_params: SamplingParams | Sequence[SamplingParams] | None=None, *, progress: bool=False) -> list[RequestOutput]:
        ...

    def stream(self, prompts: Prompts, sampling_params: SamplingParams | Sequence[SamplingParams] | None=None, *, priority: int | Sequence[int]=0, cache_salt: str | Sequence[str]='') -> Iterator[RequestOutput]:
        ...

    def embed(self, prompts: Prompts, pooling_params: PoolingParams | Sequence[PoolingParams] | None=None, *, prompt_name: str | None=None, progress: bool=False, priority: int | Sequence[int]=0, cache_salt: str | Sequence[str]='') -> list[PoolingOutput]:
        ...

    def classify(self, prompts: Prompts, *, activation: bool=True, progress: bool=False) -> list[PoolingOutput]:
        ...

    def score(self, queries: str | Sequence[str], documents: str | Sequence[str], *, progress: bool=False) -> list[ScoreOutput]:
        ...

    def chat_prompt(self, messages: Sequence[ChatMessage], **values: Any) -> list[int]:
        ...
