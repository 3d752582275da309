import pytest

from jackfield.errors import WorkerError
from jackfield.request import FinishReason
from jackfield.step import StepResult, TokenLogprobs


def resolve_with(engine, *token_ids, **fields):
    """Resolve the oldest step as if the worker had drawn these tokens."""
    plan, _ = engine.in_flight[0]
    return engine.resolve(StepResult(step_id=plan.step_id, token_ids=token_ids, **fields))


def logprob(token_id):
    return TokenLogprobs(token_id, -1.0, 1)


# Stops


def test_max_tokens_ends_a_request_for_its_length(make_engine):
    engine = make_engine()
    request = engine.add(3, max_tokens=4)

    engine.run()

    assert (request.num_output_tokens, request.finish_reason) == (4, FinishReason.LENGTH)


def test_the_maximum_length_ends_a_request_without_max_tokens(make_engine):
    engine = make_engine(max_length=10)
    request = engine.add(3, max_tokens=None)

    engine.run()

    assert (len(request.token_ids), request.finish_reason) == (10, FinishReason.LENGTH)


def test_an_end_token_stops_a_request_without_naming_it(make_engine):
    engine = make_engine()
    request = engine.add(3, end_token_ids=(7,))
    engine.plan()

    resolve_with(engine, 7)

    assert (request.finish_reason, request.stop_reason) == (FinishReason.STOP, None)
    assert request.output_token_ids == [7]


def test_a_stop_token_is_the_stop_reason(make_engine):
    engine = make_engine()
    request = engine.add(3, stop_token_ids=(7,))
    engine.plan()

    resolve_with(engine, 7)

    assert (request.finish_reason, request.stop_reason) == (FinishReason.STOP, 7)


def test_an_end_token_is_a_token_like_others_where_it_is_ignored(make_engine):
    engine = make_engine()
    request = engine.add(3, end_token_ids=(7,), ignore_eos=True)
    engine.plan()

    resolve_with(engine, 7)

    assert not request.is_finished
    assert request.end_token_ids == ()


def test_an_end_token_before_min_tokens_does_not_stop(make_engine):
    engine = make_engine()
    request = engine.add(3, end_token_ids=(7,), min_tokens=2)
    engine.plan()

    resolve_with(engine, 7)
    assert not request.is_finished
    engine.plan()
    resolve_with(engine, 7)

    assert request.finish_reason is FinishReason.STOP


def test_a_stop_token_in_the_last_place_is_a_stop(make_engine):
    engine = make_engine()
    request = engine.add(3, stop_token_ids=(7,), max_tokens=1)
    engine.plan()

    resolve_with(engine, 7)

    assert request.finish_reason is FinishReason.STOP


def test_a_stop_that_is_found_late_voids_the_later_results(make_engine):
    engine = make_engine(depth=3)
    request = engine.add(3, stop_token_ids=(7,))
    for _ in range(3):
        engine.plan()

    assert resolve_with(engine, 7) == [request]
    assert resolve_with(engine, 8) == []
    assert resolve_with(engine, 9) == []

    assert request.output_token_ids == [7]
    engine.check_all_returned()


def test_blocks_of_a_stopped_request_wait_for_its_surplus_step(make_engine):
    engine = make_engine(depth=2)
    engine.add(3, stop_token_ids=(7,))
    engine.plan()
    engine.plan()

    resolve_with(engine, 7)
    assert engine.blocks.pools[0].num_used == 1
    resolve_with(engine, 8)

    assert engine.blocks.pools[0].num_used == 0


# Who moved


def test_update_returns_the_requests_that_got_a_token(make_engine):
    engine = make_engine(max_step_tokens=5)
    first = engine.add(3)
    engine.add(9)  # two of its tokens

    assert engine.step() == [first]


# Errors of a row


def test_an_error_ends_that_request_and_voids_its_token(make_engine):
    engine = make_engine()
    failed, other = engine.add(3), engine.add(3)
    engine.plan()

    moved = resolve_with(engine, 5, 6, errors={0: "logits are NaN"})

    assert (failed.finish_reason, failed.error) == (FinishReason.ERROR, "logits are NaN")
    assert (failed.output_token_ids, other.output_token_ids) == ([], [6])
    assert moved == [failed, other]


def test_an_error_in_a_chunk_ends_the_request_before_its_first_token(make_engine):
    engine = make_engine(max_step_tokens=4)
    failed = engine.add(9)
    engine.plan()

    moved = resolve_with(engine, errors={0: "logits are NaN"})

    assert (moved, failed.finish_reason) == ([failed], FinishReason.ERROR)
    engine.check_all_returned()


def test_blocks_that_an_error_spoiled_are_not_offered_to_others(make_engine):
    engine = make_engine()
    failed = engine.add(8)
    engine.plan()
    resolve_with(engine, 5, errors={0: "logits are NaN"})

    again = engine.add([*failed.token_ids, 1])
    engine.plan()

    assert again.num_cached_tokens == 0


def test_an_error_of_a_request_that_has_ended_is_void(make_engine):
    engine = make_engine()
    request = engine.add(3)
    engine.plan()
    engine.scheduler.finish(request, FinishReason.ABORT)

    assert resolve_with(engine, 5, errors={0: "logits are NaN"}) == []
    assert (request.finish_reason, request.error) == (FinishReason.ABORT, None)


# Log probabilities


def test_log_probabilities_are_kept_for_who_asked(make_engine):
    engine = make_engine()
    silent, asking = engine.add(3), engine.add(3, logprobs=2)
    engine.plan()

    resolve_with(engine, 5, 6, logprobs={0: [logprob(5)], 1: [logprob(6)]})

    assert (silent.logprobs, asking.logprobs) == (None, [logprob(6)])


def test_log_probabilities_of_surplus_tokens_are_void(make_engine):
    engine = make_engine(depth=2)
    request = engine.add(3, logprobs=2, stop_token_ids=(7,))
    engine.plan()
    engine.plan()

    resolve_with(engine, 7, logprobs={0: [logprob(7)]})
    resolve_with(engine, 8, logprobs={0: [logprob(8)]})

    assert request.logprobs == [logprob(7)]


def test_prompt_log_probabilities_are_collected_over_chunks(make_engine):
    engine = make_engine(max_step_tokens=4)
    request = engine.add([0, 1, 2, 3, 4, 5], prompt_logprobs=1)
    engine.plan()
    resolve_with(engine, prompt_logprobs={0: [logprob(i) for i in (1, 2, 3, 4)]})
    engine.plan()
    resolve_with(engine, 9, prompt_logprobs={0: [logprob(5)]})

    assert request.prompt_logprobs == [None, *(logprob(i) for i in range(1, 6))]


def test_prompt_log_probabilities_that_are_complete_do_not_grow(make_engine):
    engine = make_engine()
    request = engine.add([0, 1, 2], prompt_logprobs=1)
    engine.plan()

    resolve_with(engine, 9, prompt_logprobs={0: [logprob(i) for i in (1, 2, 9)]})

    assert request.prompt_logprobs == [None, logprob(1), logprob(2)]


def test_prompt_log_probabilities_skip_prefix_hits(make_engine):
    engine = make_engine()
    prompt = list(range(9))
    engine.add(prompt, max_tokens=1)
    engine.run()

    engine.add(prompt, prompt_logprobs=1)

    assert list(engine.plan().num_tokens) == [9]


# A worker that breaks the contract


def test_a_result_out_of_order_is_an_error_of_the_worker(make_engine):
    engine = make_engine()
    engine.add(3)
    plan = engine.plan()

    with pytest.raises(WorkerError, match="order of submission"):
        engine.scheduler.update(plan, StepResult(step_id=5, token_ids=[1]))


@pytest.mark.parametrize(
    "result",
    [
        StepResult(step_id=0, token_ids=[]),
        StepResult(step_id=0, token_ids=[1, 2]),
        StepResult(step_id=0, token_ids=[1], counts=[2]),
    ],
    ids=["too few tokens", "too many tokens", "drafts nobody asked for"],
)
def test_a_result_without_one_token_a_sample_is_an_error_of_the_worker(make_engine, result):
    engine = make_engine()
    engine.add(3)
    plan = engine.plan()

    with pytest.raises(WorkerError, match="one token of each of 1 rows"):
        engine.scheduler.update(plan, result)
