"""Paths for operators: health, readiness, version, metrics."""

from __future__ import annotations

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from jackfield import __version__
from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.protocol.tokens import Health, Version
from jackfield_openai_server.state import state_of


async def health(http: Request) -> Response:
    """Answer 503 if an engine has ended, or makes no step although requests wait."""
    state = state_of(http)
    for model in state.models.all:
        engine = model.engine
        if engine.error is not None and not engine.is_ready:
            return json_response(Health("dead", f"{model.names[0]}: {engine.error}"), 503)
        if engine.stalled_s > state.options.stall_s:
            text = f"{model.names[0]}: no step for {engine.stalled_s:.0f} s, {engine.num_open} requests wait"
            return json_response(Health("stalled", text), 503)
    return json_response(Health("alive"))


async def ready(http: Request) -> Response:
    """Answer 503 until all models are loaded, and again while one is restarted."""
    for model in state_of(http).models.all:
        if model.is_loaded and not model.is_ready:
            text = f"{model.names[0]}: {model.engine.error or 'it is loading'}"
            return json_response(Health("not ready", text), 503)
    return json_response(Health("ready"))


async def version(_: Request) -> Response:
    """Show the version of Jackfield."""
    return json_response(Version(__version__))


async def metrics(http: Request) -> Response:
    """Give metrics for Prometheus."""
    body = generate_latest(state_of(http).metrics.registry)
    return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})


async def server_info(http: Request) -> Response:
    """Show how each engine is made and why, as `jackfield explain --json` does."""
    found = {
        model.names[0]: model.facts.explanation
        for model in state_of(http).models.all
        if model.is_loaded
    }
    return json_response(found)
