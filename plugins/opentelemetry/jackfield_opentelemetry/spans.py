"""Makes the span of an ended request. Importing this module imports OpenTelemetry."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from jackfield.request import FinishReason, RequestOutput

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_NS = 1_000_000_000
# Names for the end of an answer in OpenTelemetry's conventions.
_REASONS = {FinishReason.STOP: "stop", FinishReason.LENGTH: "length", FinishReason.ABORT: "abort"}


class SpanMaker:
    """Makes spans of one model."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._own = _provider_of_environment()
        provider = trace.get_tracer_provider() if self._own is None else self._own
        self._tracer = provider.get_tracer("jackfield")
        self._propagator = TraceContextTextMapPropagator()
        self._offset_ns = time.time_ns() - time.monotonic_ns()  # the engine's times are monotonic

    def record(self, output: RequestOutput) -> None:
        """Record one span, as a child of the caller's span."""
        metrics = output.metrics
        carrier = {} if output.trace_parent is None else {"traceparent": output.trace_parent}
        span = self._tracer.start_span(
            f"text_completion {self._model}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=self._attributes(output),
            start_time=self._unix_ns(metrics.arrived_s),
        )
        for name, time_s in (
            ("admitted", metrics.admitted_s),
            ("first token", metrics.first_token_s),
        ):
            if time_s is not None:
                span.add_event(name, timestamp=self._unix_ns(time_s))
        if errors := [o.error for o in output.outputs if o.error is not None]:
            span.set_status(Status(StatusCode.ERROR, errors[0]))
            span.set_attribute("error.type", "request_failed")
        ended_s = metrics.arrived_s if metrics.finished_s is None else metrics.finished_s
        span.end(self._unix_ns(ended_s))

    def close(self) -> None:
        """Send the remaining spans, if the provider is ours."""
        if self._own is not None:
            self._own.shutdown()  # type: ignore[attr-defined]

    def _attributes(self, output: RequestOutput) -> Mapping[str, AttributeValue]:
        metrics, outputs = output.metrics, output.outputs
        found: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.provider.name": "jackfield",
            "gen_ai.request.model": self._model,
            "gen_ai.response.id": output.request_id,
            "gen_ai.response.finish_reasons": [
                "error" if o.finish_reason is None else _REASONS.get(o.finish_reason, "error")
                for o in outputs
            ],
            "gen_ai.usage.input_tokens": len(output.prompt_token_ids),
            "gen_ai.usage.output_tokens": sum(len(o.token_ids) for o in outputs),
            "jackfield.cached_tokens": metrics.num_cached_tokens,
            "jackfield.preemptions": metrics.num_preemptions,
        }
        times = (
            metrics.arrived_s,
            metrics.admitted_s,
            metrics.first_token_s,
            metrics.finished_s,
        )
        for name, began_s, ended_s in zip(
            ("queue", "prefill", "decode"), times, times[1:], strict=False
        ):
            if began_s is not None and ended_s is not None:
                found[f"jackfield.{name}_s"] = max(0.0, ended_s - began_s)
        return found

    def _unix_ns(self, monotonic_s: float) -> int:
        return round(monotonic_s * _NS) + self._offset_ns


def _provider_of_environment() -> TracerProvider | None:
    """A provider that sends by OTLP, if the environment names a receiver and no other provider is set."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider as SdkProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = SdkProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
