"""An engine leaves nothing behind. Observers see everything and change nothing."""

import gc
import logging
import multiprocessing
import threading
import time
import tracemalloc

import pytest

from jackfield.interfaces.hooks import hookimpl
from jackfield_testing.engine import make_engine

pytestmark = pytest.mark.core_model

SETTINGS = {"cache.block_size": 4, "options.reference.cache_blocks": 200}
# Over ten engines, where one takes about 90,000 bytes. Free lists of the interpreter grow a while.
MAX_GROWTH_BYTES = 60_000
MAX_GROWTH_OBJECTS = 100


def use(engine):
    for number in range(6):
        engine.add_request(engine.input.process([number] * 20))
    while engine.has_unfinished:
        engine.step()


def wait_for_threads(count):
    deadline_s = time.monotonic() + 10
    while threading.active_count() > count and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return threading.active_count()


@pytest.mark.thorough
def test_ten_engines_leave_memory_and_threads_flat(tmp_path):
    def use_one():
        with make_engine(tmp_path, SETTINGS) as engine:
            use(engine)

    for _ in range(3):  # what is imported or cached once
        use_one()
    threads = threading.active_count()
    tracemalloc.start()
    try:
        use_one()
        before = in_use()
        for _ in range(10):
            use_one()
        after = in_use()
    finally:
        tracemalloc.stop()

    assert threading.active_count() == threads
    assert after[0] - before[0] < MAX_GROWTH_BYTES
    assert after[1] - before[1] < MAX_GROWTH_OBJECTS


def in_use():
    """Bytes and objects."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0], len(gc.get_objects())


@pytest.mark.distributed
def test_engines_of_several_processes_leave_none_behind(tmp_path):
    settings = {**SETTINGS, "select.executor": "multiprocess", "executor.tensor_parallel": 2}
    threads = threading.active_count()

    for _ in range(3):
        with make_engine(tmp_path, settings) as engine:
            use(engine)

    assert threading.active_count() == threads
    assert multiprocessing.active_children() == []


def test_close_while_steps_are_in_flight_ends_at_once(tmp_path):
    threads = threading.active_count()
    engine = make_engine(tmp_path, SETTINGS)
    for number in range(6):
        engine.add_request(engine.input.process([number] * 20))
    engine.step()

    engine.close()
    engine.close()

    assert engine.is_closed
    assert threading.active_count() == threads


def test_an_engine_that_is_dropped_ends_its_threads(tmp_path):
    threads = threading.active_count()
    engine = make_engine(tmp_path, SETTINGS)
    use(engine)

    del engine
    gc.collect()

    assert wait_for_threads(threads) == threads


class Watcher:
    def __init__(self):
        self.steps, self.finished, self.stopped = [], [], []

    @hookimpl
    def step_finished(self, stats):
        self.steps.append(stats)

    @hookimpl
    def request_finished(self, output):
        self.finished.append(output.request_id)

    @hookimpl
    def engine_stopped(self, error):
        self.stopped.append(error)


class Troublemaker:
    calls = 0

    @hookimpl
    def step_finished(self, stats):
        Troublemaker.calls += 1
        raise RuntimeError("I do not like this step")


def ask_some(driver):
    return [
        driver.ask(list(range(9 * number + 1)), ignore_eos=True, max_tokens=9)
        for number in range(5)
    ]


def test_observers_see_everything_and_change_nothing(open_engine, windows):
    driver = open_engine(windows, **{"scheduler.max_step_tokens": 16})
    watcher = Watcher()
    driver.engine.observers.add(watcher)
    asked = ask_some(driver)
    aborted = driver.ask([3] * 50)

    driver.run(lambda number: number == 2 and driver.abort(aborted))
    driver.check()
    stats = driver.engine.stats
    driver.engine.close()

    assert sorted(watcher.finished) == sorted([*asked, aborted])
    assert len(watcher.steps) == stats.num_steps
    assert sum(step["num_tokens"] for step in watcher.steps) == stats.num_tokens
    assert watcher.steps[-1]["cache_usage"] == 0
    assert watcher.stopped == [None]


def test_an_observer_that_raises_is_dropped_and_reported_once(open_engine, caplog):
    driver = open_engine()
    watcher = Watcher()
    Troublemaker.calls = 0
    driver.engine.observers.add(Troublemaker())
    driver.engine.observers.add(watcher)
    asked = ask_some(driver)

    with caplog.at_level(logging.ERROR):
        driver.run()

    driver.check()
    assert Troublemaker.calls == 1
    assert sum("Troublemaker" in record.getMessage() for record in caplog.records) == 1
    assert sorted(watcher.finished) == sorted(asked)
