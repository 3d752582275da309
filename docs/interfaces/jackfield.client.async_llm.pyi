# Part of: jackfield 0.1
from collections.abc import AsyncGenerator
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from jackfield.client.client import Client
from jackfield.client.delta_stream import DeltaStream
from jackfield.engine.prompt import Prompt
from jackfield.engine.prompt import TextPair
from jackfield.pooling import PoolingParams
from jackfield.request import PoolingOutput
from jackfield.request import RequestOutput
from jackfield.request import ScoreOutput
from jackfield.sampling import SamplingParams
class AsyncLLM(Client):

    def deltas(self, prompt: Prompt, sampling_params: SamplingParams | None=None, *, request_id: str | None=None, priority: int=0, cache_salt: str='', final_only: bool=False) -> DeltaStream:
        ...

    async def generate(self, prompt: Prompt, sampling_params: SamplingParams | None=None, *, request_id: str | None=None, priority: int=0, cache_salt: str='', final_only: bool=False) -> AsyncGenerator[RequestOutput, None]:
        ...

    async def embed(self, prompt: Prompt | TextPair, pooling_params: PoolingParams | None=None, *, prompt_name: str | None=None, request_id: str | None=None, priority: int=0, cache_salt: str='') -> PoolingOutput:
        ...

    async def score(self, query: str, documents: str | Sequence[str]) -> list[ScoreOutput]:
        ...

    async def aclose(self) -> None:
        ...

    async def __aenter__(self) -> Self:
        ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ...
