# Part of: jackfield 0.1
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from jackfield.client.engine_thread import EngineThread
from jackfield.engine.deltas import Delta
from jackfield.engine.deltas import OpenRequest
from jackfield.request import EngineRequest
class DeltaStream:

    def __init__(self, thread: EngineThread, *, merges: bool=True) -> None:
        ...

    def __aiter__(self) -> Self:
        ...

    async def __anext__(self) -> Delta:
        ...

    def close(self) -> None:
        ...

    async def aclose(self) -> None:
        ...

    async def __aenter__(self) -> Self:
        ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ...

    def __del__(self) -> None:
        ...
class Inbox:

    def __init__(self, thread: EngineThread) -> None:
        ...

    def submit(self, request: EngineRequest, *, stream: bool) -> None:
        ...

    def taken(self, request: OpenRequest) -> None:
        ...

    def hand_over(self, deltas: Sequence[Delta]) -> bool:
        ...

    def fail(self, error: BaseException) -> None:
        ...

    def close(self) -> None:
        ...

    async def wait(self) -> None:
        ...

    def put(self, delta: Delta) -> None:
        ...
