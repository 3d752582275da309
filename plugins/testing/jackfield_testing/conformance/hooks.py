"""The kit of hooks: observers accept all calls, survive them, and change nothing."""

from __future__ import annotations

import copy
import logging
import statistics
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pluggy
import pytest

from jackfield.activation import ActivationPlan
from jackfield.client import LLM
from jackfield.config import EngineConfig
from jackfield.discovery.kinds import HOOKS
from jackfield.interfaces.hooks import PROJECT, Hooks
from jackfield.request import CompletionOutput, FinishReason, RequestMetrics, RequestOutput
from jackfield.sampling import SamplingParams
from jackfield_testing.conformance.kit import ConformanceKit
from jackfield_testing.conformance.platform_runs import settled
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

_STATS: Mapping[str, float] = {
    "num_running": 3.0,
    "num_waiting": 1.0,
    "num_tokens": 40.0,
    "cache_usage": 0.25,
    "step_s": 0.01,
}
_CALLS = 30
# Most time of a call, in the median. A step of a fast engine takes a few times as long.
_CALL_S = 0.01
# Numbers that are timed; steps and requests are those of each engine.
_ENGINES, _STEPS, _TRIES = 2, 5, 2
# Most seconds of all calls. Every request waits for a step; one user waits for the start and the end of an engine.
_MOST_S = {
    "engine_started": 1.0,
    "step_finished": 0.15,
    "request_finished": 0.5,
    "engine_stopped": 1.0,
}
_PROMPTS = ("one", "a longer prompt", "x" * 50)
_PARAMS = SamplingParams(max_tokens=6, temperature=0.0)


class HooksKit(ConformanceKit):
    """A third party's test file names the entry point: `name = "mine"`."""

    kind = HOOKS

    @pytest.fixture
    def tell(self, card: Any) -> Any:
        """Calls the observer's hooks. Unlike in an engine, an error of the observer is raised."""
        return _registered(card).hook

    def test_it_observes_something(self, card: Any) -> None:
        """At least one method is marked with `hookimpl`."""
        assert _registered(card).get_hookcallers(card), (
            "no method is marked with jackfield's hookimpl"
        )

    def test_its_hooks_are_those_that_exist(self, card: Any) -> None:
        """Their arguments must be among those that are passed. An engine leaves out a hook that does not fit."""
        _registered(card).check_pending()

    def test_it_survives_every_step(self, tell: Any) -> None:
        """The steps include an idle one, and one with figures that this version does not have yet."""
        for stats in (_STATS, dict.fromkeys(_STATS, 0.0), {**_STATS, "a_later_figure": 1.0}):
            tell.step_finished(stats=dict(stats))

    @pytest.mark.parametrize("reason", FinishReason)
    def test_it_survives_every_end_of_a_request(self, tell: Any, reason: FinishReason) -> None:
        """The requests have text or only token ids, one output or several, and outputs without any token."""
        for num_outputs, num_tokens, prompt in ((1, 3, "text"), (2, 1, None), (1, 0, None)):
            tell.request_finished(output=_output(reason, num_outputs, num_tokens, prompt))

    @pytest.mark.parametrize(
        "error", [None, RuntimeError("no more"), KeyboardInterrupt()], ids=repr
    )
    def test_it_survives_every_end_of_an_engine(
        self, tell: Any, error: BaseException | None
    ) -> None:
        """The ends: in good order, by an error, by the user, and several engines one after the other."""
        for _ in range(2):
            tell.engine_started(config=EngineConfig(), activation=ActivationPlan(selections=()))
            tell.step_finished(stats=dict(_STATS))
            tell.engine_stopped(error=error)

    def test_it_changes_nothing_that_it_is_told(self, tell: Any) -> None:
        """Other observers and the user get the same objects."""
        told: dict[str, dict[str, Any]] = {
            "engine_started": {
                "config": EngineConfig(),
                "activation": ActivationPlan(selections=()),
            },
            "step_finished": {"stats": dict(_STATS)},
            "request_finished": {"output": _output(FinishReason.STOP, 2, 3, "text")},
        }
        before = copy.deepcopy(told)
        for hook, values in told.items():
            getattr(tell, hook)(**values)
        assert told == before

    def test_it_holds_up_no_step(self, tell: Any) -> None:
        """The engine waits for it, and all requests wait for the engine."""
        taken = []
        for _ in range(_CALLS):
            start = time.perf_counter()
            tell.step_finished(stats=dict(_STATS))
            taken.append(time.perf_counter() - start)
        median = statistics.median(taken)
        assert median < _CALL_S, f"step_finished takes {median:.3f} s, at most {_CALL_S} s will do"

    @pytest.mark.parametrize("hook", _MOST_S)
    def test_no_hook_holds_up_the_engine(self, tell: Any, hook: str) -> None:
        """The sum of all calls counts, since one slow call in ten is waited for too."""
        most_s = _MOST_S[hook]
        taken_s = min(self.taken_s(tell, hook) for _ in range(_TRIES))  # a machine may be busy
        assert taken_s < most_s, f"all calls of {hook} take {taken_s:.2f} s, at most {most_s} s will do"  # fmt: skip

    def taken_s(self, tell: Any, hook: str) -> float:
        """Seconds spent in one hook while engines run one after the other."""
        seconds = 0.0
        for _ in range(_ENGINES):
            for name, values in _told().items():
                for _ in range(1 if name.startswith("engine") else _STEPS):
                    start = time.perf_counter()
                    getattr(tell, name)(**values)
                    seconds += (time.perf_counter() - start) * (name == hook)
        return seconds

    def test_it_leaves_no_thread(self, tell: Any) -> None:
        """A thread may stay if the first engine started it; later engines must leave none."""
        _run_engines(tell, 1)
        before = threading.active_count()
        _run_engines(tell, 3)
        assert settled(lambda: threading.active_count() <= before), "threads live on"

    def test_it_prints_nothing(self, tell: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """Standard output belongs to answers. Logs and standard error are free."""
        _run_engines(tell, 1)
        assert capsys.readouterr().out == ""

    def test_it_leaves_logging_alone(self, tell: Any) -> None:
        """The level and handlers of the root logger belong to the user."""
        root = logging.getLogger()
        before = (root.level, logging.root.manager.disable, list(root.handlers))
        try:
            _run_engines(tell, 1)
            assert (root.level, logging.root.manager.disable, list(root.handlers)) == before
        finally:
            root.setLevel(before[0])
            logging.disable(before[1])
            root.handlers[:] = before[2]

    def test_it_lasts_through_a_whole_engine(
        self, card: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An observer that raises is reported and no longer called, so it would fail this test."""
        self.answers(tmp_path, is_observed=True)
        target = self.ref().target
        complaints = [message for message in caplog.messages if target in message]
        assert complaints == [], caplog.text

    def test_answers_do_not_depend_on_it(self, tmp_path: Path) -> None:
        """Answers are equal with and without it."""
        observed = self.answers(tmp_path, is_observed=True)
        assert self.answers(tmp_path, is_observed=False) == observed

    def answers(self, folder: Path, *, is_observed: bool) -> list[tuple[str, list[int]]]:
        """Text and tokens of a few requests, from an engine of the reference platform."""
        write_model(folder)
        settings = dict(REFERENCE_SETTINGS)
        if not is_observed:
            settings["plugins.deny"] = [f"{self.ref().name}@{self.ref().distribution}"]
        plugins = self.plugins if is_observed else ()
        with LLM(str(folder), settings=settings, plugins=plugins) as llm:
            outputs = [out for r in llm.generate(list(_PROMPTS), _PARAMS) for out in r.outputs]
            return [(output.text, list(output.token_ids)) for output in outputs]


def _told() -> dict[str, dict[str, Any]]:
    """The arguments of the hooks while an engine runs, in the order of the calls."""
    return {
        "engine_started": {"config": EngineConfig(), "activation": ActivationPlan(selections=())},
        "step_finished": {"stats": dict(_STATS)},
        "request_finished": {"output": _output(FinishReason.STOP, 1, 3, "text")},
        "engine_stopped": {"error": None},
    }


def _run_engines(tell: Any, num_engines: int) -> None:
    for _ in range(num_engines):
        for name, values in _told().items():
            getattr(tell, name)(**values)


def _registered(observer: Any) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(observer)
    return manager


def _output(
    reason: FinishReason, num_outputs: int, num_tokens: int, prompt: str | None
) -> RequestOutput:
    is_error = reason is FinishReason.ERROR
    outputs = [
        CompletionOutput(
            index=index,
            text="abc"[:num_tokens],
            token_ids=[97, 98, 99][:num_tokens],
            finish_reason=reason,
            error="it failed" if is_error else None,
        )
        for index in range(num_outputs)
    ]
    metrics = RequestMetrics(arrived_s=1.0, first_token_s=None if is_error else 2.0, finished_s=3.0)
    return RequestOutput(
        request_id="request",
        prompt=prompt,
        prompt_token_ids=[1, 2],
        outputs=outputs,
        finished=True,
        metrics=metrics,
    )
