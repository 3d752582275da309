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
"""The ASGI scope of one HTTP request."""
Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
"""An ASGI application: an application of Starlette or FastAPI, or a coroutine function of three arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """New text and tokens of one output of a request."""

    index: int  # index of the output, from 0
    text: str
    token_ids: Sequence[int]
    finish_reason: str | None  # "stop" or "length" with the last piece of an output, else None
    num_prompt_tokens: int


class Serving(ABC):
    """The models of a server, as an endpoint sees them. Endpoints use it in the server's event loop."""

    @property
    @abstractmethod
    def models(self) -> tuple[str, ...]:
        """The names by which clients may call the models; the first is the default."""

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

        `scope` is the scope of the HTTP request. The limits of the request's key, its deadline and the queue hold here
        too; if one is exceeded, the first piece raises. The request leaves the engine when the generator is closed or
        its task is cancelled. Raises JackfieldError; if the endpoint does not catch it, the server answers in
        OpenAI's shape.
        """


class Endpoint(Card):
    """Serves paths below `path`. An installed endpoint is active only if `options.serve.endpoints` names it."""

    only_named: ClassVar[bool] = True
    # Prefix of all paths of this endpoint, such as "/api". The server asks for keys here as for its own paths.
    path: ClassVar[str] = ""

    @abstractmethod
    def create(self, serving: Serving, config: EngineConfig) -> AsgiApp:
        """Make the application, which sees the rest of the path. Heavy imports happen here. Called once, before
        models load.
        """
