"""A policy that fails costs at most the request that just arrived."""

import pytest

from jackfield.errors import RequestError
from jackfield.interfaces.policy import SchedulingPolicy


class Moody(SchedulingPolicy):
    """`keys` maps arrivals to what it does; the others come in order."""

    def __init__(self, keys, *, returning=None, preemption=None):
        self.keys = keys
        self.returning = returning
        self.preemption = preemption

    def admission_key(self, request):
        act = self.returning if request.num_output_tokens and self.returning else None
        act = act or self.keys.get(request.arrival)
        return act() if act else (request.arrival,)

    def preemption_key(self, request):
        return self.preemption() if self.preemption else (request.arrival,)


def raises():
    raise RuntimeError("no key")


def exits():
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (raises, "RuntimeError: no key"),
        (exits, "SystemExit: 0"),
        (lambda: None, "a key must be a tuple of numbers, got None"),
        (lambda: ("a",), "a key must be a tuple of numbers"),
        (lambda: (float("nan"),), "a key must be a tuple of numbers"),
    ],
)
def test_a_request_that_it_has_no_key_for_is_refused_and_the_others_run(make_engine, act, told):
    engine = make_engine(policy=Moody({1: act}))
    first = engine.add(2, max_tokens=1)

    with pytest.raises(
        RequestError, match=rf"the scheduling policy Moody has no admission key.*{told}"
    ):
        engine.add(2, max_tokens=1)

    assert engine.scheduler.num_waiting == 1
    while engine.scheduler.has_unfinished:
        engine.step()
    assert first.is_finished


def test_siblings_are_queued_together_or_not_at_all(make_engine):
    engine = make_engine(policy=Moody({2: raises}))
    parent = engine.request(4)

    with pytest.raises(RequestError):
        engine.scheduler.add(parent, *(engine.request(4, parent=parent) for _ in range(2)))

    assert engine.scheduler.num_waiting == 0


def test_a_failure_in_the_middle_of_a_run_keeps_the_keys_that_there_are(make_engine, caplog):
    policy = Moody({}, returning=raises, preemption=raises)
    engine = make_engine(
        num_blocks=4, block_size=2, max_length=8, prefix_caching=False, policy=policy
    )
    requests = [engine.add(4, max_tokens=4) for _ in range(2)]

    while engine.scheduler.has_unfinished:
        engine.step()

    assert engine.scheduler.stats.num_preemptions > 0
    assert all(request.is_finished for request in requests)
    assert caplog.text.count("Moody failed; requests keep the keys that they have") == 1
