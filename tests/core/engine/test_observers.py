import logging

import pytest

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.config import EngineConfig
from jackfield.engine.observers import Observers
from jackfield.interfaces.hooks import hookimpl
from jackfield.request import CompletionOutput, RequestMetrics, RequestOutput

PLUGIN = PluginRef(
    kind="jackfield.hooks", major=1, name="eye", distribution="acme", version="2", target="m:Eye"
)


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


class Raises:
    def __init__(self, error):
        self.error = error

    @hookimpl
    def step_finished(self, stats):
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(0)])
def test_one_that_raises_or_exits_is_reported_with_its_distribution_and_the_way_out(caplog, error):
    observers = Observers()
    observers.add(Raises(error), PLUGIN)

    observers.step_finished({})

    assert "the hook 'eye' of acme 2 (m:Eye) raised in step_finished" in caplog.text
    assert 'plugins.deny = ["eye@acme"]' in caplog.text


class Trap(Watcher):
    def __dir__(self):
        raise SystemExit(0)


def test_one_that_exits_while_it_is_looked_at_is_left_out_and_named(caplog):
    observers = Observers()

    observers.add(Trap(), PLUGIN)

    assert not observers
    assert "the hook 'eye' of acme 2" in caplog.text


class Vandal:
    @hookimpl
    def engine_started(self, config):
        object.__setattr__(config.scheduler, "max_rows", 1)

    @hookimpl
    def request_finished(self, output):
        completion = output.outputs[0]
        completion.token_ids.clear()
        object.__setattr__(completion, "text", "HACKED")
        object.__setattr__(output.metrics, "arrived_s", -1.0)


def test_what_an_observer_does_to_an_output_does_not_reach_the_user():
    completion = CompletionOutput(index=0, text="hello", token_ids=[1, 2])
    output = RequestOutput(
        request_id="r",
        prompt=None,
        prompt_token_ids=[7],
        outputs=[completion],
        finished=True,
        metrics=RequestMetrics(arrived_s=1.0),
    )

    Observers([Vandal()]).request_finished(output)

    assert (completion.text, completion.token_ids) == ("hello", [1, 2])
    assert output.metrics.arrived_s == 1.0


def test_what_an_observer_does_to_the_settings_does_not_reach_the_engine():
    config = EngineConfig()

    Observers([Vandal()]).engine_started(config, ActivationPlan(selections=()))

    assert config == EngineConfig()
