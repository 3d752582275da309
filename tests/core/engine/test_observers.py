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


class Everything:
    """Takes fewer parameters, and in another order, than there are."""

    def __init__(self):
        self.seen = []

    @hookimpl
    def engine_started(self, activation, config):
        self.seen.append(("started", activation, config))

    @hookimpl
    def step_finished(self):
        self.seen.append("step")

    @hookimpl(specname="step_finished")
    def and_again(self, stats):
        self.seen.append(stats)


def test_an_observer_gets_the_parameters_that_it_names():
    observer = Everything()
    observers = Observers([observer])

    observers.engine_started("config", "activation")
    observers.step_finished({"num_tokens": 1})

    assert observer.seen[0] == ("started", "activation", "config")
    assert sorted(map(str, observer.seen[1:])) == ["step", "{'num_tokens': 1}"]


class Wrapper:
    def __init__(self):
        self.seen = []

    @hookimpl(wrapper=True)
    def step_finished(self, stats):
        self.seen.append(stats)
        return (yield)


def test_a_wrapper_of_pluggy_is_run_by_pluggy():
    wrapper = Wrapper()

    Observers([wrapper]).step_finished({"num_tokens": 1})

    assert wrapper.seen == [{"num_tokens": 1}]


def test_one_that_raised_in_one_hook_is_not_called_in_another(caplog):
    class Bad(Watcher):
        @hookimpl
        def engine_stopped(self):
            self.seen.append("stopped")

    bad = Bad(fails=True)
    observers = Observers([bad])

    observers.step_finished({})
    observers.engine_stopped(None)

    assert bad.seen == [{}]
    assert not observers
