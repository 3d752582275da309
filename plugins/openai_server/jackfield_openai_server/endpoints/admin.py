"""`/admin/models`: the models in memory. Only active if `options.serve.admin` is set."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.residence import resident_bytes
from jackfield_openai_server.served import ServedModel
from jackfield_openai_server.state import state_of


class ModelState(msgspec.Struct):
    """One model."""

    id: str
    is_loaded: bool
    num_requests: int  # requests that are not answered yet
    memory_bytes: int  # memory of the engine's process


async def list_model_states(http: Request) -> Response:
    """List all models with their state."""
    return json_response([_state(model) for model in state_of(http).models.all])


async def load_model(http: Request) -> Response:
    """Load a model, as a request for it would."""
    return json_response(_state(await state_of(http).take(http.path_params["model"])))


async def unload_model(http: Request) -> Response:
    """End the engine of a model. Its open requests fail. The next request for it loads it again."""
    state = state_of(http)
    model = state.models.find(http.path_params["model"])
    await state.residence.unload(model)
    return json_response(_state(model))


def _state(model: ServedModel) -> ModelState:
    engine, is_loaded = model.engine, model.is_loaded
    size = resident_bytes(engine.pid) if is_loaded else 0
    return ModelState(model.names[0], is_loaded, engine.num_open, size)
