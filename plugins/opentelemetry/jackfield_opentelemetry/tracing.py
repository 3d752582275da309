"""The observer: a span for each request that ended. OpenTelemetry is imported when an engine starts."""

from __future__ import annotations

from typing import Any

from jackfield.config import EngineConfig
from jackfield.interfaces.hooks import hookimpl
from jackfield.request import RequestOutput


class Tracing:
    """Told of an engine; the work is done by `SpanMaker`."""

    def __init__(self) -> None:
        self._maker: Any = None

    @hookimpl
    def engine_started(self, config: EngineConfig) -> None:
        """Find out where spans go."""
        from jackfield_opentelemetry.spans import SpanMaker

        self._maker = SpanMaker(config.model.reference)

    @hookimpl
    def request_finished(self, output: RequestOutput) -> None:
        """Make its span."""
        if self._maker is not None:
            self._maker.record(output)

    @hookimpl
    def engine_stopped(self) -> None:
        """Send what was not sent."""
        if self._maker is not None:
            self._maker.close()
