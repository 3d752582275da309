"""The state that all endpoints share: models, settings, metrics, and the admission of requests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request

from jackfield_openai_server.engine.stream import RequestStream
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.generation import Generation
from jackfield_openai_server.metrics import Metrics, RequestTimer
from jackfield_openai_server.options import ServeOptions
from jackfield_openai_server.protocol.common import SamplingFields
from jackfield_openai_server.protocol.vectors import PoolingFields
from jackfield_openai_server.residence import Residence
from jackfield_openai_server.response_store import ResponseStore
from jackfield_openai_server.served import ServedModel, ServedModels
from jackfield_openai_server.tenants import Tenant, Tenants

TIMEOUT_HEADER = "x-request-timeout-s"


class ServerState:
    """The state of one server."""

    def __init__(self, options: ServeOptions, models: ServedModels, tenants: Tenants) -> None:
        self.options = options
        self.models = models
        self.residence = Residence(models, options)
        self.tenants = tenants
        self.responses = ResponseStore(options.max_stored_responses)
        self.metrics = Metrics()
        self.metrics.watch(models)

    async def take(self, name: str | None) -> ServedModel:
        """The model with that name, loaded if necessary. Raises ApiError."""
        return await self.residence.take(name)

    def generate(
        self,
        http: Request,
        model: ServedModel,
        prompt: list[int],
        sampling: Mapping[str, Any],
        request: SamplingFields,
    ) -> Generation:
        """Admit a request, for one of the model's adapters if it names that as its model. Raises ApiError if it is
        refused.
        """
        if request.model in model.adapters:
            sampling = {**sampling, "adapter": request.model}

        def submit(priority: int, salt: str) -> RequestStream:
            return model.submit(
                prompt,
                sampling,
                request,
                priority=priority,
                salt=salt,
                trace_parent=http.headers.get("traceparent"),
            )

        return self._enter(http, model, len(prompt), request.priority, submit)

    def pool(
        self,
        http: Request,
        model: ServedModel,
        prompt: list[int],
        pooling: Mapping[str, Any],
        request: PoolingFields,
        second_text: int | None = None,
    ) -> Generation:
        """Admit a request for a vector. Raises ApiError if it is refused."""
        if (name := getattr(request, "model", None)) in model.adapters:
            raise ApiError(
                400, f"{name!r} is an adapter, with which no vectors are computed", param="model"
            )

        def submit(priority: int, salt: str) -> RequestStream:
            return model.submit_pooling(
                prompt, pooling, second_text=second_text, priority=priority, salt=salt
            )

        return self._enter(http, model, len(prompt), request.priority, submit)

    def _enter(
        self,
        http: Request,
        model: ServedModel,
        num_tokens: int,
        priority: int | None,
        submit: Callable[[int, str], RequestStream],
    ) -> Generation:
        tenant: Tenant = http.scope["tenant"]
        self._check_queue(model, num_tokens)
        deadline_s = self._deadline_s(http)
        tenant.enter()
        try:
            salt = f"{tenant.name}/" if self.tenants.are_asked else ""
            stream = submit((priority or 0) + tenant.limits.priority, salt)
        except BaseException:
            tenant.leave()
            raise
        timer = RequestTimer(self.metrics, model.names[0], num_tokens)
        return Generation(model, stream, timer, deadline_s, tenant.leave)

    def _check_queue(self, model: ServedModel, num_tokens: int) -> None:
        options, engine = self.options, model.engine
        limits = (
            ("requests", engine.num_queued + 1, options.max_queued_requests),
            ("prompt tokens", engine.num_queued_tokens + num_tokens, options.max_queued_tokens),
        )
        for what, number, limit in limits:
            # A single request is admitted, however long it is.
            if limit is not None and number > limit and engine.num_queued:
                raise ApiError(
                    503,
                    f"the queue is full: {engine.num_queued} requests wait, and this one would make it {number} "
                    f"{what}; the limit is {limit}. Try again later",
                    code="queue_full",
                    retry_after_s=1,
                )

    def _deadline_s(self, http: Request) -> float | None:
        given, limit_s = http.headers.get(TIMEOUT_HEADER), self.options.request_timeout_s
        if given is None:
            return limit_s
        try:
            seconds = float(given)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds < 1e9:
            raise ApiError(400, f"{TIMEOUT_HEADER} must be a number of seconds, got {given!r}")
        return seconds if limit_s is None else min(seconds, limit_s)


def state_of(http: Request) -> ServerState:
    """The server that received a request."""
    state: ServerState = http.app.state.server
    return state


def new_id(prefix: str) -> str:
    """An id that no other answer has."""
    return f"{prefix}-{uuid.uuid4().hex}"
