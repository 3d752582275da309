"""Spans of requests, read from the SDK's exporter in memory, and the kit of hooks."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jackfield import LLM, SamplingParams
from jackfield.engine.engine import Engine
from jackfield_opentelemetry import spans
from jackfield_testing.conformance.hooks import HooksKit
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class TestTracing(HooksKit):
    name = "opentelemetry"


@pytest.fixture
def exporter(monkeypatch):
    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(spans.trace, "get_tracer_provider", lambda: provider)
    return found


@pytest.fixture
def model(tmp_path):
    write_model(tmp_path)
    return str(tmp_path)


def test_a_request_has_a_span_with_its_times_tokens_and_reason(exporter, model):
    with LLM(model, settings=REFERENCE_SETTINGS) as llm:
        llm.generate("abc", SamplingParams(max_tokens=5, ignore_eos=True))

    (span,) = exporter.get_finished_spans()
    found = span.attributes
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (3, 5)
    assert found["gen_ai.response.finish_reasons"] == ("length",)
    assert found["gen_ai.request.model"] == model
    parts_s = [found[f"jackfield.{name}_s"] for name in ("queue", "prefill", "decode")]
    assert sum(parts_s) == pytest.approx((span.end_time - span.start_time) / 1e9, abs=1e-4)
    assert [event.name for event in span.events] == ["admitted", "first token"]


def test_a_span_continues_the_trace_of_whoever_asked(exporter, model):
    from jackfield.cli.settings import load_from_words
    from jackfield.startup.blueprint import make_blueprint

    words = [
        model,
        *(word for k, v in REFERENCE_SETTINGS.items() for word in ("--set", f"{k}={v}")),
    ]
    with Engine(make_blueprint(load_from_words(words))) as engine:
        maker = engine.text_maker(engine.finish)
        params = SamplingParams(max_tokens=2, ignore_eos=True)
        request = engine.input.process("abc", params, trace_parent=PARENT)
        engine.add_request(request)
        while engine.has_unfinished:
            maker.make(engine.step())

    (span,) = exporter.get_finished_spans()
    assert trace.format_trace_id(span.context.trace_id) == PARENT.split("-")[1]
    assert trace.format_span_id(span.parent.span_id) == PARENT.split("-")[2]
