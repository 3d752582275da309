"""`/v1/models`: the served models."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.protocol.common import ModelList
from jackfield_openai_server.state import state_of


def json_response(value: object, status: int = 200) -> Response:
    """A struct as a JSON answer."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def list_models(http: Request) -> Response:
    """List all models under all their names."""
    models = state_of(http).models
    return json_response(ModelList([card for model in models.all for card in model.cards()]))


async def show_model(http: Request) -> Response:
    """Show one model."""
    name = http.path_params["model"]
    model = state_of(http).models.find(name)
    for card in model.cards():
        if card.id == name:
            return json_response(card)
    raise ApiError(404, f"the model {name!r} is not served here", code="model_not_found")
