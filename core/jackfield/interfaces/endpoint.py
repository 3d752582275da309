"""Endpoints: paths that a plugin adds to a server, for clients that speak another language."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jackfield.config import EngineConfig
from jackfield.interfaces.card import Card

Prompt = str | Sequence[int] | Sequence[Mapping[str, Any]]
"""A text, token ids, or a conversation: messages such as {"role": "user", "content": "Hello"}."""
Scope = MutableMapping[str, Any]
"""Of one HTTP request, as ASGI defines it."""
Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
"""An ASGI application: what Starlette, FastAPI and others make, or a coroutine function of three arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one output of a request gained."""

    index: int  # of the output, from 0
    text: str
    token_ids: Sequence[int]
    finish_reason: str | None  # "stop" or "length" with the last piece of an output, else None
    num_prompt_tokens: int


class Serving(ABC):
    """The models of a server, as an endpoint asks them; used in the server's event loop."""

    @property
    @abstractmethod
    def models(self) -> tuple[str, ...]:
        """The names that clients may call them by; the first is the default."""

    @abstractmethod
    def generate(
        self,
        scope: Scope,
        prompt: Prompt,
        sampling: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer a prompt; `sampling` has fields of SamplingParams.

        `scope` is that of the HTTP request: what holds for its key, its deadline and the queue holds here, and raises
        at the first piece. The request leaves the engine when the generator is closed or its task is cancelled. Raises
        JackfieldError, which the server answers in OpenAI's shape where the endpoint lets it pass.
        """


class Endpoint(Card):
    """Serves paths below `path`. It is active where `options.serve.endpoints` names it: installed is not enough."""

    only_named: ClassVar[bool] = True
    path: ClassVar[str] = ""  # in front of all its paths: "/api". Keys are asked for as elsewhere

    @abstractmethod
    def create(self, serving: Serving, config: EngineConfig) -> AsgiApp:
        """The application; it sees the rest of the path. Heavy imports happen here. Called once, before models load."""
