"""The observer: it makes a span for each ended request. OpenTelemetry is imported when an engine starts."""

from __future__ import annotations

from typing import Any

from jackfield.config import EngineConfig
from jackfield.interfaces.hooks import hookimpl
from jackfield.request import RequestOutput


class Tracing:
    """The hooks of one engine. `SpanMaker` does the work."""

    def __init__(self) -> None:
        self._maker: Any = None

    @hookimpl
    def engine_started(self, config: EngineConfig) -> None:
        """Find out where spans are sent."""
        from jackfield_opentelemetry.spans import SpanMaker

        self._maker = SpanMaker(config.model.reference)

    @hookimpl
    def request_finished(self, output: RequestOutput) -> None:
        """Make the span of the request."""
        if self._maker is not None:
            self._maker.record(output)

    @hookimpl
    def engine_stopped(self) -> None:
        """Send the remaining spans."""
        if self._maker is not None:
            self._maker.close()
