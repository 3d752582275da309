"""`/v1/load_lora_adapter` and `/v1/unload_lora_adapter`. Only active if `options.serve.admin` is set."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jackfield_openai_server.decode import read_body
from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.protocol.common import ModelList
from jackfield_openai_server.state import state_of


class LoadAdapter(msgspec.Struct, forbid_unknown_fields=True):
    """An adapter to load."""

    lora_name: str  # the name of the model for clients
    lora_path: str  # folder on the server's machine
    model: str | None = None  # the model that it changes; the first one by default


class UnloadAdapter(msgspec.Struct, forbid_unknown_fields=True):
    """An adapter to forget."""

    lora_name: str
    lora_int_id: int | None = None  # taken for those who know it; nothing reads it


async def load_adapter(http: Request) -> Response:
    """Load an adapter of PEFT. Answers with the cards of its model."""
    request = await read_body(http, LoadAdapter)
    state = state_of(http)
    if any(card.id == request.lora_name for model in state.models.all for card in model.cards()):
        text = f"there is a model {request.lora_name!r} already; unload it, or take another name"
        raise ApiError(400, text, param="lora_name")
    model = await state.take(request.model)
    await model.load_adapter(request.lora_name, request.lora_path)
    return json_response(ModelList(model.cards()))


async def unload_adapter(http: Request) -> Response:
    """Forget an adapter that no open request uses. Answers with the cards of its model."""
    request = await read_body(http, UnloadAdapter)
    model = state_of(http).models.find_adapted(request.lora_name)
    if model is None:
        text = f"there is no adapter {request.lora_name!r}; /v1/models lists them"
        raise ApiError(404, text, param="lora_name", code="model_not_found")
    await model.unload_adapter(request.lora_name)
    return json_response(ModelList(model.cards()))
