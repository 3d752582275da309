"""Any mix of requests, pools and aborts. The fake worker and the books check each step; the tests check the end."""

from dataclasses import dataclass

from hypothesis import event, given, settings
from hypothesis import strategies as st

from jackfield.errors import RequestError
from jackfield.request import FinishReason
from jackfield.scheduler.policies import FcfsPolicy, PriorityPolicy

STATE = "state"  # in place of a window: a recurrent group
PROMPTS = ([0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 2, 0, 1, 2], [0, 1, 0, 1, 2, 2, 2, 2], [3] * 12)


@dataclass
class Arrival:
    """An engine request that comes before a step, and perhaps an abort of its first output later on."""

    prompt: list[int]
    num_outputs: int
    sampling: dict
    priority: int
    salt: str
    steps_before: int
    aborted_after: int | None  # steps


@st.composite
def arrivals(draw):
    prompt = draw(st.sampled_from(PROMPTS))
    return Arrival(
        prompt=prompt[: draw(st.integers(1, len(prompt)))],
        num_outputs=draw(st.sampled_from([1, 1, 1, 2, 3])),
        sampling={
            "max_tokens": draw(st.sampled_from([None, 1, 2, 9, 20])),
            "min_tokens": draw(st.sampled_from([0, 1])),
            "stop_token_ids": tuple(range(draw(st.sampled_from([0, 0, 2, 10])))),
        },
        priority=draw(st.integers(0, 2)),
        salt=draw(st.sampled_from(["", "", "tenant"])),
        steps_before=draw(st.sampled_from([0, 0, 0, 1, 2, 3])),
        aborted_after=draw(st.sampled_from([None, None, 1, 2, 3, 5, 8])),
    )


@st.composite
def engines(draw):
    """Settings of an engine; most pools are too small for all requests, none is too small for one of 24 tokens."""
    block_size = draw(st.sampled_from([1, 2, 4]))
    windows = draw(
        st.sampled_from(
            [
                (None,),
                (None, None),
                (None, 3),
                (None, 1, 6),
                (5,),
                ("chunk 5",),
                (None, "chunk 6", 3),
                (STATE,),
                (None, STATE),
                (None, 3, STATE),
            ]
        )
    )
    least = -(-24 // block_size)
    return {
        "windows": windows,
        "num_blocks": [
            draw(st.integers(1, 9) if window == STATE else st.integers(least, least * 3 // 2))
            for window in windows
        ],
        "block_size": block_size,
        "prefix_caching": draw(st.booleans()),
        "depth": draw(st.integers(1, 3)),
        "max_length": 24,
        "policy": draw(st.sampled_from([FcfsPolicy(), PriorityPolicy()])),
        "max_rows": draw(st.sampled_from([6, 4, 3, 2, 1])),
        "max_step_tokens": draw(st.sampled_from([64, 5, 2, 1])),
        "long_prefill_tokens": draw(st.sampled_from([None, 3])),
        "watermark": draw(st.sampled_from([0.0, 0.1, 0.4])),
    }


def add_outputs(engine, arrival):
    """The requests of one engine request, one an output."""
    common = {"priority": arrival.priority, "salt": arrival.salt, **arrival.sampling}
    parent = engine.request(arrival.prompt, **common)
    children = [
        engine.request(arrival.prompt, parent=parent, seed=seed, **common)
        for seed in range(1, arrival.num_outputs)
    ]
    requests = [parent, *children]
    engine.scheduler.add(*requests)
    engine.requests += requests
    return requests


def run(engine, todo):
    """Let all arrive and abort in their time, and run to the end."""
    aborts = []
    for arrival in todo:
        for _ in range(arrival.steps_before):
            engine.step()
            abort_due(engine, aborts)
        requests = add_outputs(engine, arrival)
        if arrival.aborted_after is not None:
            aborts.append([arrival.aborted_after, requests[0]])
    engine.run(before_step=lambda: abort_due(engine, aborts))


def abort_due(engine, aborts):
    for abort in aborts:
        abort[0] -= 1
        if abort[0] == 0:
            engine.scheduler.finish(abort[1], FinishReason.ABORT)
            engine.check_books()


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_all_requests_end_with_their_own_tokens_and_nothing_is_lost(make_engine, expected, data):
    values = data.draw(engines())
    engine = make_engine(**values)
    run(engine, data.draw(st.lists(arrivals(), min_size=2, max_size=9)))

    for request in engine.requests:
        token_ids, reason = expected(request)
        if request.finish_reason is FinishReason.ABORT:
            assert request.output_token_ids == token_ids[: request.num_output_tokens]
        else:
            assert (request.output_token_ids, request.finish_reason) == (token_ids, reason)
    engine.check_all_returned()
    stats = engine.scheduler.stats
    event(f"preempted: {stats.num_preemptions > 0}")
    event(f"cached: {stats.num_cached_tokens > 0}")


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_setting_changes_the_tokens(make_engine, data):
    todo = data.draw(st.lists(arrivals(), min_size=1, max_size=6))
    for arrival in todo:
        arrival.aborted_after = None
    plain = make_engine(num_blocks=500, prefix_caching=False, max_length=24)
    engine = make_engine(**data.draw(engines()))

    run(plain, todo)
    run(engine, todo)

    assert [r.token_ids for r in engine.requests] == [r.token_ids for r in plain.requests]


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 6), st.sampled_from([None, 1, 5]))
def test_a_request_is_refused_or_ends(make_engine, prompt, max_tokens, num_blocks, window):
    engine = make_engine(windows=(window,), num_blocks=num_blocks, max_length=32)

    try:
        request = engine.add(prompt, max_tokens=max_tokens)
    except RequestError:
        assert not engine.scheduler.has_unfinished
        return

    engine.run()
    assert request.finish_reason is FinishReason.LENGTH
