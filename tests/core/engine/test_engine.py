import logging
import threading
from concurrent.futures import Future
from unittest.mock import patch

import pytest

from jackfield.decision import summary
from jackfield.engine.observers import Observers
from jackfield.errors import (
    EngineClosedError,
    EngineError,
    OutOfMemoryError,
    RequestError,
    WorkerError,
)
from jackfield.interfaces.hooks import hookimpl
from jackfield.request import FinishReason
from jackfield.sampling import SamplingParams
from jackfield_testing.desk import Desk
from jackfield_testing.engine import make_engine


@pytest.fixture
def open_engine(tmp_path):
    engines = []

    def open_(**settings):
        engine = make_engine(tmp_path / str(len(engines)), settings)
        engines.append(engine)
        return engine

    yield open_
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(open_engine):
    return open_engine()


def ask(engine, prompt="hello", *, request_id=None, stream=False, **sampling):
    params = SamplingParams(**{"max_tokens": 8, "ignore_eos": True, **sampling})
    request = engine.input.process(prompt, params, request_id=request_id)
    engine.add_request(request, stream=stream)
    return request.request_id


def run(engine):
    """All deltas until nothing is open and nothing in flight."""
    deltas = []
    while engine.has_unfinished or engine.num_in_flight:
        deltas += engine.step()
    return deltas


def answers(engine):
    """Token ids by request and output."""
    return {(delta.request.request_id, delta.index): delta.token_ids for delta in run(engine)}


@pytest.mark.core_model
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_depth_changes_no_answer(open_engine, depth):
    plain, deep = open_engine(**{"executor.depth": 1}), open_engine(**{"executor.depth": depth})
    for engine in (plain, deep):
        for prompt in ("a", "longer prompt", "日本"):
            ask(engine, prompt, n=2, temperature=1.0)

    assert answers(deep) == answers(plain)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_as_many_steps_are_in_flight_as_the_depth_says(open_engine, depth):
    engine = open_engine(**{"executor.depth": depth})
    ask(engine, max_tokens=20)

    in_flight = []
    for _ in range(5):
        engine.step()
        in_flight.append(engine.num_in_flight)

    assert in_flight == [depth - 1] * 5


def test_a_step_without_work_returns_at_once(engine):
    assert engine.step() == []


def test_outputs_without_a_seed_can_be_repeated_and_differ(open_engine):
    first, second = open_engine(), open_engine()
    for engine in (first, second):
        for _ in range(2):
            ask(engine, "same", n=3, temperature=1.0, max_tokens=20)

    outputs = answers(first)

    assert outputs == answers(second)
    assert len({tuple(token_ids) for token_ids in outputs.values()}) == 6


def test_the_seed_of_the_config_moves_them(open_engine):
    engines = open_engine(), open_engine(**{"model.seed": 5})
    for engine in engines:
        ask(engine, temperature=1.0, max_tokens=20)

    assert answers(engines[0]) != answers(engines[1])


def test_the_first_of_several_outputs_is_the_one_that_comes_alone(engine):
    alone, several = (ask(engine, n=n, seed=4, temperature=1.0) for n in (1, 3))

    found = answers(engine)

    assert len(found) == 4
    assert found[several, 0] == found[alone, 0]


def test_an_abort_gives_what_there_is_and_frees_the_blocks(engine):
    request_id = ask(engine, max_tokens=100)
    for _ in range(5):
        engine.step()

    (delta,) = engine.abort(request_id)
    rest = run(engine)

    assert delta.finish_reason is FinishReason.ABORT
    assert len(delta.token_ids) > 0
    assert rest == []
    assert engine.stats.scheduler.cache_usage == 0.0


def test_aborting_what_has_ended_does_nothing(engine):
    request_id = ask(engine)
    run(engine)

    assert engine.abort(request_id) == engine.abort("never was") == []


def test_an_id_can_be_used_again_once_its_request_ended(engine):
    ask(engine, request_id="mine")
    with pytest.raises(RequestError, match="'mine' already"):
        ask(engine, request_id="mine")
    run(engine)

    assert ask(engine, request_id="mine") == "mine"


def test_a_full_queue_refuses_the_request_alone(open_engine):
    engine = open_engine(**{"scheduler.max_waiting": 1})
    ask(engine)
    with pytest.raises(RequestError, match="max_waiting"):
        ask(engine)

    assert len(run(engine)) == 1


def test_a_prompt_and_its_answer_end_at_the_length_of_the_model(engine):
    ask(engine, "x" * 500, max_tokens=None)

    (delta,) = run(engine)

    assert len(delta.token_ids) == 12
    assert delta.finish_reason is FinishReason.LENGTH


def test_a_cache_too_small_for_one_request_fails_at_the_start(open_engine):
    with pytest.raises(OutOfMemoryError, match="num_blocks"):
        open_engine(**{"cache.num_blocks": 3, "model.max_length": 64})


def test_requests_are_as_long_as_the_cache_holds_where_nobody_set_their_length(open_engine, caplog):
    engine = open_engine(**{"cache.num_blocks": 3})

    most = 3 * engine.config.cache.block_size
    assert engine.config.model.max_length == most
    assert f"requests can have {most} tokens, not the " in caplog.text
    assert "raise cache.memory_bytes" in caplog.text
    ask(engine, prompt="a", max_tokens=None)
    ((ids,),) = [answers(engine).values()]
    assert len(ids) == most - len(engine.tokenizer.encode("a"))


def test_the_cache_is_as_large_as_its_memory(open_engine):
    size = open_engine().report.block_bytes[0]

    engine = open_engine(**{"cache.memory_bytes": 50 * size + 1})

    assert engine.num_blocks == (50,)


# What is reported


def test_what_is_streamed_is_reported_token_by_token_and_all_else_at_its_end(engine):
    streamed = ask(engine, "a", stream=True, temperature=0.0)
    quiet = ask(engine, "a", temperature=0.0)

    deltas = run(engine)

    mine = {
        name: [delta.token_ids for delta in deltas if delta.request.request_id == name]
        for name in (streamed, quiet)
    }
    assert [len(token_ids) for token_ids in mine[streamed]] == [1] * 8
    assert mine[quiet] == [[token_id for (token_id,) in mine[streamed]]]
    assert all(delta.request.first_token_s is not None for delta in deltas)


def test_of_outputs_that_move_in_one_step_all_but_the_last_say_that_more_follow(engine):
    ask(engine, n=3, stream=True, max_tokens=1)

    engine.step()  # the prompt, and the token of the first output
    deltas = run(engine)

    assert [delta.more_follow for delta in deltas] == [True, False]


def test_an_output_that_its_text_ended_is_not_reported_again(engine):
    ask(engine, "a", n=2, stream=True)
    first = engine.step()[0].output

    engine.finish(first, FinishReason.STOP, "x")
    rest = run(engine)

    assert {delta.index for delta in rest} == {1}
    assert first.stop_reason == "x"
    assert engine.stats.num_finished == 1


# The end


def test_a_closed_engine_says_so(engine):
    engine.close()
    engine.close()

    for use in (engine.step, lambda: ask(engine), lambda: engine.abort("0")):
        with pytest.raises(EngineClosedError, match="was closed"):
            use()


@pytest.mark.parametrize("fault", ["raise", "raise_late"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_worker_that_raises_ends_the_engine_with_its_traceback(open_engine, fault, depth):
    faults = {"options.reference.fault": fault, "options.reference.fault_step": 3}
    engine = open_engine(**faults, **{"executor.depth": depth})
    ask(engine, max_tokens=20)

    with pytest.raises(WorkerError, match="PlannedFault.*at step 3") as caught:
        run(engine)
    assert "PlannedFault" in caught.value.worker_traceback
    assert fault == "raise_late" or "in submit" in caught.value.worker_traceback
    with pytest.raises(EngineClosedError, match="PlannedFault") as after:
        engine.step()
    assert after.value.__cause__ is caught.value


def test_a_worker_that_cannot_load_raises_its_own_error_and_leaves_no_thread(open_engine):
    before = threading.active_count()

    with pytest.raises(EngineError, match="fault = 'load'"):
        open_engine(**{"options.reference.fault": "load"})

    assert threading.active_count() == before


def test_a_step_that_takes_too_long_ends_the_engine(open_engine):
    engine = open_engine(
        **{
            "options.reference.fault": "hang",
            "executor.step_timeout_s": 0.2,
            "executor.depth": 1,
        }
    )
    ask(engine)

    with pytest.raises(WorkerError, match=r"step 0 .*step_timeout_s = 0\.2"):
        run(engine)
    assert engine.is_closed


class InterruptedFuture(Future):
    """Interrupts the first one who waits for it, as Ctrl-C does while a thread sleeps in `Future.result`."""

    is_interrupted = False

    def result(self, timeout=None):
        if not self.is_interrupted:
            self.is_interrupted = True
            raise KeyboardInterrupt
        return super().result(timeout)


def test_an_interrupt_while_it_waits_does_no_harm(open_engine):
    """No signal and no clock here: a signal that comes just before the thread sleeps is seen when it wakes."""
    engine, expected = (open_engine(**{"executor.depth": 1}) for _ in range(2))
    for each in (engine, expected):
        ask(each)
    executor, future = engine._state.parts.executor, InterruptedFuture()

    def submit(plan):
        future.set_result(type(executor).submit(executor, plan).result())
        return future

    with patch.object(executor, "submit", submit), pytest.raises(KeyboardInterrupt):
        engine.step()

    assert answers(engine) == answers(expected)


# What observers and logs are told


class Watcher:
    def __init__(self):
        self.calls = []

    @hookimpl
    def engine_started(self, config, activation):
        self.calls.append(("started", config.executor.depth))

    @hookimpl
    def step_finished(self, stats):
        self.calls.append(("step", sorted(stats)))

    @hookimpl
    def request_finished(self, output):
        self.calls.append(("request", output.request_id))

    @hookimpl
    def engine_stopped(self, error):
        self.calls.append(("stopped", type(error)))


def test_observers_are_told_of_steps_requests_and_the_end(engine):
    watcher = Watcher()
    engine.observers = Observers([watcher])
    desk = Desk(engine)
    request_id = desk.add(engine.input.process("hello", SamplingParams(max_tokens=1)))

    desk.run()
    engine.close()

    figures = ["cache_usage", "num_running", "num_tokens", "num_waiting", "step_s"]
    assert watcher.calls == [
        ("step", figures),
        ("request", request_id),
        ("stopped", type(None)),
    ]


def test_observers_are_told_of_an_abort(engine):
    watcher = Watcher()
    engine.observers = Observers([watcher])

    desk = Desk(engine)

    desk.abort(desk.add(engine.input.process("hello")))

    assert watcher.calls == [("request", "0")]


def test_observers_learn_what_ended_the_engine(open_engine):
    watcher = Watcher()
    engine = open_engine(**{"options.reference.fault": "raise"})
    engine.observers = Observers([watcher])
    ask(engine)

    with pytest.raises(WorkerError):
        run(engine)
    told = list(watcher.calls)
    engine.close()
    engine.close()

    assert watcher.calls == [*told, ("stopped", WorkerError)]  # requests may be told of until then


def test_one_line_of_the_log_names_all_choices(open_engine, caplog):
    with caplog.at_level(logging.INFO, "jackfield"):
        engine = open_engine()

    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("ready: ")]
    assert line == f"ready: {summary(engine.decisions)}"


def test_the_decision_on_a_hook_that_does_not_load_says_so(open_engine, distributions):
    hooks = {"jackfield.hooks.v1": {"watcher": "acme_hook:Watcher"}}
    distributions.add("acme", hooks, modules={"acme_hook": "raise OSError('no port')"})

    engine = open_engine()

    (decision,) = [d for d in engine.decisions if d.kind == "hooks" and d.chosen is None]
    assert "OSError: no port" in decision.candidates[0].reasons[0].text


def test_stats_count_steps_tokens_and_requests(engine):
    ask(engine, "four", max_tokens=3)
    run(engine)

    stats = engine.stats
    assert (stats.num_steps, stats.num_tokens, stats.num_finished) == (3, 4 + 2, 1)
