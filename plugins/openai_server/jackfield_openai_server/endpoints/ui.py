"""`/ui`: a page to chat and to watch the engine. Only active if `options.serve.ui` is set."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.served import ServedModel
from jackfield_openai_server.state import state_of

# The page contains everything that it needs, and may send requests only to this server.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def show_page(_: Request) -> Response:
    """Show the page. It holds nothing of the models."""
    headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
    return Response(_page(), headers=headers, media_type="text/html")


async def show_state(http: Request) -> Response:
    """Give the figures of each model that the page draws. The map of blocks is the one that the last call asked for."""
    models = state_of(http).models.all
    for model in models:
        model.engine.look()
    return json_response([_state(model) for model in models])


def _state(model: ServedModel) -> dict[str, Any]:
    engine, opened = model.engine, model.engine.opened
    return {
        "name": model.names[0],
        "is_ready": model.is_ready,
        "error": None if engine.error is None else str(engine.error),
        "num_restarts": engine.num_restarts,
        "figures": None if engine.figures is None else msgspec.structs.asdict(engine.figures),
        "block_maps": engine.block_maps,
        "num_blocks": opened.num_blocks if opened else [],
        "block_size": opened.block_size if opened else 0,
        "decisions": opened.explanation.get("decisions", []) if opened else [],
    }


@cache
def _page() -> bytes:
    return resources.files("jackfield_openai_server").joinpath("page.html").read_bytes()


UI_ROUTES = (Route("/ui", show_page), Route("/ui/state", show_state))
