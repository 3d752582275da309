import pytest

from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.scheduler.policies import FcfsPolicy, PriorityPolicy


def order(engine, requests):
    """The requests in the order in which they finish, one after the other."""
    names = {id(request): name for name, request in requests.items()}
    finished = []
    while engine.scheduler.has_unfinished:
        finished += [names[id(r)] for r in engine.step() if r.is_finished]
    return finished


def add(engine, **priorities):
    return {
        name: engine.add(2, priority=priority, max_tokens=1)
        for name, priority in priorities.items()
    }


def test_fcfs_admits_by_arrival_whatever_the_priority(make_engine):
    engine = make_engine(policy=FcfsPolicy(), max_rows=1)

    assert order(engine, add(engine, a=3, b=1, c=2)) == ["a", "b", "c"]


def test_priority_admits_the_most_urgent_first(make_engine):
    engine = make_engine(policy=PriorityPolicy(), max_rows=1)

    assert order(engine, add(engine, a=3, b=1, c=2)) == ["b", "c", "a"]


def test_equal_priorities_go_by_arrival(make_engine):
    engine = make_engine(policy=PriorityPolicy(), max_rows=1)

    assert order(engine, add(engine, a=1, b=0, c=1, d=0)) == ["b", "d", "a", "c"]


class ShortestFirst(SchedulingPolicy):
    def admission_key(self, request):
        return (request.num_prompt_tokens,)


def test_anybodys_policy_orders_the_queue(make_engine):
    engine = make_engine(policy=ShortestFirst(), max_rows=1)
    requests = {str(length): engine.add(length, max_tokens=1) for length in (5, 3, 4)}

    assert order(engine, requests) == ["3", "4", "5"]


@pytest.mark.parametrize("policy", [FcfsPolicy(), PriorityPolicy()], ids=lambda p: type(p).__name__)
def test_a_preempted_request_comes_back_before_younger_ones(make_engine, policy):
    engine = make_engine(
        num_blocks=4, block_size=2, max_length=8, prefix_caching=False, policy=policy
    )
    requests = {
        name: engine.add(4, max_tokens=max_tokens)
        for name, max_tokens in (("a", 4), ("b", 4), ("c", 1))
    }

    assert order(engine, requests) == ["a", "b", "c"]
