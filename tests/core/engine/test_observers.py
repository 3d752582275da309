import logging

from jackfield.engine.observers import Observers
from jackfield.interfaces.hooks import hookimpl


class Watcher:
    def __init__(self, *, fails=False):
        self.seen = []
        self.fails = fails

    @hookimpl
    def step_finished(self, stats):
        self.seen.append(stats)
        if self.fails:
            raise ZeroDivisionError("in the observer")


class Misfit:
    @hookimpl
    def step_finished(self, no_such_argument): ...


def test_each_observer_is_told():
    watchers = Watcher(), Watcher()

    Observers(watchers).step_finished({"num_tokens": 3})

    assert [watcher.seen for watcher in watchers] == [[{"num_tokens": 3}]] * 2


def test_one_that_raises_is_reported_once_and_no_longer_called(caplog):
    bad, good = Watcher(fails=True), Watcher()
    observers = Observers([bad, good])

    observers.step_finished({})
    observers.step_finished({})

    assert (len(bad.seen), len(good.seen)) == (1, 2)
    assert len(caplog.records) == 1
    assert "Watcher raised in step_finished" in caplog.text


def test_one_whose_hooks_do_not_fit_is_reported_and_left_out(caplog):
    observers = Observers([Misfit()])

    assert not observers
    assert caplog.records[0].levelno == logging.ERROR
    assert "Misfit" in caplog.text


def test_without_observers_there_is_nothing_to_gather_figures_for():
    assert not Observers()
    assert Observers([Watcher()])
