"""Paths of plugins: which of them are active, and how plugins use the served models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Mount

from jackfield.config import EngineConfig
from jackfield.discovery.kinds import ENDPOINTS
from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.prompt import is_chat
from jackfield.errors import ConfigError, PluginError
from jackfield.interfaces.endpoint import Endpoint, Piece, Prompt, Scope, Serving
from jackfield_openai_server.chat_prompt import chat_prompt
from jackfield_openai_server.decode import converted
from jackfield_openai_server.protocol.chat import ChatRequest
from jackfield_openai_server.protocol.common import SamplingFields
from jackfield_openai_server.served import ServedModel
from jackfield_openai_server.state import ServerState


def plugin_routes(state: ServerState, config: EngineConfig) -> list[BaseRoute]:
    """The paths of the plugins in the settings. Raises ConfigError if one cannot be loaded, or if two use the same path."""
    names = state.options.endpoints
    if not names:
        return []
    registry, serving = PluginRegistry.scan(config.plugins), _Serving(state)
    routes: dict[str, BaseRoute] = {}
    for name in names:
        try:
            card: Endpoint = registry.card(registry.ref(ENDPOINTS, name))
        except PluginError as error:
            raise ConfigError(f"options.serve.endpoints = {name}: {error}") from None
        if not card.path.startswith("/") or not card.path.strip("/"):
            raise ConfigError(
                f"options.serve.endpoints = {name}: its path is {card.path!r}; one such as /api is needed"
            )
        if card.path in routes:
            raise ConfigError(
                f"options.serve.endpoints: two of {', '.join(names)} serve {card.path}; name one of them"
            )
        routes[card.path] = Mount(card.path, card.create(serving, config))
    return list(routes.values())


class _Serving(Serving):
    """The models of this server, for plugins."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    @property
    def models(self) -> tuple[str, ...]:
        """All names of all models."""
        return tuple(name for model in self._state.models.all for name in model.names)

    async def generate(
        self,
        scope: Scope,
        prompt: Prompt,
        sampling: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer a prompt as the server's own endpoints do."""
        served = await self._state.take(model)
        token_ids = await self._encoded(served, prompt)
        generation = self._state.generate(
            Request(scope), served, token_ids, dict(sampling or {}), SamplingFields(stream=True)
        )
        async with aclosing(generation.deltas()) as batches:
            async for deltas in batches:
                for delta in deltas:
                    yield Piece(
                        index=delta.index,
                        text=delta.text,
                        token_ids=delta.token_ids,
                        finish_reason=delta.finish_reason,
                        num_prompt_tokens=len(token_ids),
                    )

    async def _encoded(self, served: ServedModel, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str):
            return await served.text.encode(prompt, max_length=served.facts.max_length)
        if is_chat(prompt):
            request = converted({"messages": list(prompt)}, ChatRequest, "messages")
            return (await chat_prompt(served, request, self._state.options)).token_ids
        return converted(list(prompt), list[int], "prompt")
