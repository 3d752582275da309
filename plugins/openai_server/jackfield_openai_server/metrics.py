"""Counters and timers for Prometheus, named as vLLM's metrics but with our prefix."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jackfield_openai_server.engine.client import EngineClient
from jackfield_openai_server.engine.messages import Begin
from jackfield_openai_server.served import ServedModels

_TTFT_S = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    20,
    40,
    80,
    160,
    640,
    2560,
)
_GAP_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5)
_E2E_S = (0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 60, 120, 240, 480, 960)
_TOKENS = tuple(base * 10**power for power in range(6) for base in (1, 2, 5))
_LABEL = ("model_name",)


class Metrics:
    """The series of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def histogram(name: str, text: str, buckets: Iterable[float]) -> Histogram:
            name = f"jackfield_{name}"
            return Histogram(name, text, _LABEL, buckets=tuple(buckets), registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = _LABEL) -> Counter:
            return Counter(f"jackfield_{name}", text, labels, registry=registry)

        self.first_token_s = histogram(
            "time_to_first_token_seconds",
            "From arrival to the first token",
            _TTFT_S,
        )
        self.gap_s = histogram(
            "inter_token_latency_seconds", "Between two tokens of one request", _GAP_S
        )
        self.token_s = histogram(
            "request_time_per_output_token_seconds",
            "Mean of a request after its first token",
            _GAP_S,
        )
        self.whole_s = histogram(
            "e2e_request_latency_seconds", "From arrival to the last token", _E2E_S
        )
        self.queue_s = histogram(
            "request_prefill_time_seconds", "In the engine, until the first token", _E2E_S
        )
        self.decode_s = histogram(
            "request_decode_time_seconds", "In the engine, after the first token", _E2E_S
        )
        self.prompt_length = histogram("request_prompt_tokens", "Of one request", _TOKENS)
        self.output_length = histogram("request_generation_tokens", "Of one request", _TOKENS)
        self.output_tokens = counter("generation_tokens", "Tokens that were generated")
        self.finished = counter(
            "request_success", "Requests that ended, by reason", (*_LABEL, "finished_reason")
        )
        self.refused = counter("requests_refused", "Answered with an error", ("status",))
        self.open_connections = Gauge(
            "jackfield_http_requests_open", "HTTP requests under way", registry=registry
        )

    def watch(self, models: ServedModels) -> None:
        """Also report the engines' own figures."""
        self.registry.register(_Engines(models))


class RequestTimer:
    """Times one request. It is cheap: a few attributes for each token, and a histogram at the end of a gap."""

    __slots__ = ("_began_s", "_first_s", "_is_closed", "_labels", "_last_s", "_metrics", "_num_prompt", "_num_tokens", "_observe_gap")  # fmt: skip

    def __init__(self, metrics: Metrics, model_name: str, num_prompt_tokens: int) -> None:
        self._metrics = metrics
        self._labels = model_name
        self._num_prompt = num_prompt_tokens
        self._num_tokens = 0
        self._began_s = time.monotonic()
        self._first_s = self._last_s = 0.0
        self._is_closed = False
        self._observe_gap = metrics.gap_s.labels(model_name).observe

    def moved(self, num_tokens: int) -> None:
        """Note that tokens came."""
        now_s = time.monotonic()
        if self._num_tokens:
            self._observe_gap(now_s - self._last_s)
        elif num_tokens:
            self._first_s = now_s
            self._metrics.first_token_s.labels(self._labels).observe(now_s - self._began_s)
        self._last_s = now_s
        self._num_tokens += num_tokens

    def finished(self, begin: Begin | None) -> None:
        """Note that the request has ended."""
        metrics, name = self._metrics, self._labels
        metrics.whole_s.labels(name).observe(self._last_s - self._began_s)
        if self._num_tokens > 1:
            mean_s = (self._last_s - self._first_s) / (self._num_tokens - 1)
            metrics.token_s.labels(name).observe(mean_s)
        if begin is not None:
            metrics.queue_s.labels(name).observe(begin.first_token_s)
            metrics.decode_s.labels(name).observe(self._last_s - self._first_s)
        self._close("finished")

    def close(self) -> None:
        """Note that nobody waits for the request any more, whether it ended or not."""
        self._close("aborted")

    def _close(self, reason: str) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        metrics, name = self._metrics, self._labels
        metrics.finished.labels(name, reason).inc()
        metrics.output_tokens.labels(name).inc(self._num_tokens)
        metrics.output_length.labels(name).observe(self._num_tokens)
        metrics.prompt_length.labels(name).observe(self._num_prompt)


class _Engines(Collector):
    """The figures that the engines' processes send."""

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        gauges = {
            "num_requests_running": "Requests in a row",
            "num_requests_waiting": "Requests in the queue",
            "kv_cache_usage_perc": "Share of the cache's blocks in use, 0 to 1",
            "engine_ready": "1 while the engine takes requests",
        }
        counters = {
            "engine_steps": "Steps of the engine",
            "engine_tokens": "Tokens that were computed, of prompts and outputs",
            "num_preemptions": "Times that a request made room",
            "prompt_tokens": "Prompt tokens of admitted requests",
            "prefix_cache_queries": "Prompt tokens that were looked up in the cache",
            "prefix_cache_hits": "Prompt tokens that were found in the cache",
            "engine_restarts": "Times that the engine's process was started again",
        }
        families = {
            name: GaugeMetricFamily(f"jackfield_{name}", text, labels=_LABEL)
            for name, text in gauges.items()
        } | {
            name: CounterMetricFamily(f"jackfield_{name}", text, labels=_LABEL)
            for name, text in counters.items()
        }
        for model in self._models.all:
            for name, value in _figures(model.engine).items():
                families[name].add_metric([model.names[0]], value)
        return families.values()


def _figures(engine: EngineClient) -> dict[str, float]:
    found: dict[str, float] = {
        "engine_ready": float(engine.is_ready),
        "engine_restarts": engine.num_restarts,
    }
    if (figures := engine.figures) is not None:
        found |= {
            "num_requests_running": figures.num_running,
            "num_requests_waiting": figures.num_waiting,
            "kv_cache_usage_perc": figures.cache_usage,
            "engine_steps": figures.num_steps,
            "engine_tokens": figures.num_tokens,
            "num_preemptions": figures.num_preemptions,
            "prompt_tokens": figures.num_prompt_tokens,
            "prefix_cache_queries": figures.num_prompt_tokens,
            "prefix_cache_hits": figures.num_cached_tokens,
        }
    return found
