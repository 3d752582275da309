# Part of: jackfield_testing 0.1
from collections.abc import AsyncGenerator
from collections.abc import Mapping
from typing import Any
from jackfield.interfaces.endpoint import Piece
from jackfield.interfaces.endpoint import Prompt
from jackfield.interfaces.endpoint import Scope
from jackfield.interfaces.endpoint import Serving
MODEL = 'tiny'
class ScriptedServing(Serving):

    def __init__(self, text: str='Hello.', error: Exception | None=None) -> None:
        ...

    @property
    def models(self) -> tuple[str, ...]:
        ...

    async def generate(self, scope: Scope, prompt: Prompt, sampling: Mapping[str, Any] | None=None, *, model: str | None=None) -> AsyncGenerator[Piece, None]:
        ...
