import pytest

from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.scheduler.policies import FairPolicy, FcfsPolicy, PriorityPolicy


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


def tokens_of(engine, requests, until):
    """Tokens of prompts and answers that each tenant had when `until` of the requests had ended."""
    had, num_ended = {}, 0
    while num_ended < until:
        for request in engine.step():
            if request.is_finished:
                num_ended += 1
                tenant = request.salt.partition("/")[0]
                had[tenant] = had.get(tenant, 0) + len(request.token_ids)
    return had


def test_a_tenant_that_asks_for_more_gets_no_more_than_its_share(make_engine):
    engine = make_engine(policy=FairPolicy(), max_rows=2, num_blocks=40)
    greedy = [engine.add(4, max_tokens=4, salt=f"greedy/{i}") for i in range(40)]
    modest = [engine.add(4, max_tokens=4, salt="modest") for i in range(10)]

    had = tokens_of(engine, greedy + modest, until=20)

    assert had["modest"] == pytest.approx(had["greedy"], rel=0.25)


def test_long_answers_are_charged_with_their_length(make_engine):
    engine = make_engine(policy=FairPolicy(), max_rows=1, num_blocks=40, max_length=40)
    long = [engine.add(2, max_tokens=22, salt="long") for _ in range(8)]
    short = [engine.add(2, max_tokens=6, salt="short") for _ in range(24)]

    had = tokens_of(engine, long + short, until=16)

    assert had["short"] == pytest.approx(had["long"], rel=0.35)


def test_who_was_away_saves_nothing_up(make_engine):
    engine = make_engine(policy=FairPolicy(), max_rows=1, num_blocks=40)
    first = [engine.add(4, max_tokens=4, salt="first") for _ in range(20)]
    tokens_of(engine, first, until=10)
    late = [engine.add(4, max_tokens=4, salt="late") for _ in range(20)]

    had = tokens_of(engine, first + late, until=10)

    assert had["late"] == pytest.approx(had["first"], rel=0.35)
