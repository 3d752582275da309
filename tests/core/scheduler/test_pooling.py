import pytest

from jackfield.errors import RequestError, WorkerError
from jackfield.pooling import LAST, MEAN, PoolingParams
from jackfield.request import FinishReason
from jackfield.step import StepResult

NOTHING = "nothing"  # as conftest calls a group that keeps nothing
LAST_TOKEN = PoolingParams(kind=LAST)
ALL_TOKENS = PoolingParams(kind=MEAN)


def test_a_request_for_a_vector_ends_when_its_prompt_is_computed(make_engine):
    engine = make_engine(depth=2)
    request = engine.add([1, 2, 3], pooling=LAST_TOKEN)

    engine.run()

    assert (list(request.vector), request.finish_reason) == ([1, 2, 3], FinishReason.STOP)
    assert request.num_output_tokens == 0


def test_vectors_and_tokens_come_of_one_step(make_engine):
    engine = make_engine()
    pooled, drawing = engine.add(5, pooling=LAST_TOKEN), engine.add(3, max_tokens=2)

    moved = engine.step()

    assert set(moved) == {pooled, drawing}
    assert (len(pooled.vector), drawing.num_output_tokens) == (5, 1)


def test_a_long_prompt_gives_its_vector_with_its_last_chunk(make_engine):
    engine = make_engine(max_step_tokens=4)
    request = engine.add(10, pooling=ALL_TOKENS)

    chunks = [plan.num_tokens for plan in iter(engine.plan, None)]

    assert chunks == [[4], [4], [2]]
    while engine.in_flight:
        engine.resolve()
    assert len(request.vector) == 10


@pytest.mark.parametrize(("pooling", "hits"), [(LAST_TOKEN, 8), (ALL_TOKENS, 0)])
def test_prefix_hits_serve_a_vector_of_the_last_token_alone(make_engine, pooling, hits):
    engine = make_engine()
    engine.add(range(10), max_tokens=1)
    engine.run()

    again = engine.add(range(10), pooling=pooling)
    engine.run()

    assert again.num_cached_tokens == hits


def test_where_nothing_is_kept_prompts_are_not_cut_and_need_no_blocks(make_engine):
    engine = make_engine(windows=[NOTHING], num_blocks=0, max_step_tokens=8)
    for num_tokens in (5, 4, 3):
        engine.add(num_tokens, pooling=ALL_TOKENS)

    steps = [plan.num_tokens for plan in iter(engine.plan, None)]

    assert steps == [[5], [4, 3]]


def test_a_prompt_that_no_step_can_hold_at_once_is_refused(make_engine):
    engine = make_engine(windows=[NOTHING], num_blocks=0, max_step_tokens=8)

    with pytest.raises(RequestError, match=r"9 tokens.*at most 8.*max_step_tokens to 9"):
        engine.add(9, pooling=ALL_TOKENS)


def test_a_prompt_for_a_vector_may_be_as_long_as_the_model(make_engine):
    engine = make_engine(max_length=10)
    request = engine.add(10, pooling=LAST_TOKEN)

    engine.run()

    assert len(request.vector) == 10


def test_a_worker_that_forgets_a_vector_ends_the_engine(make_engine):
    engine = make_engine()
    engine.add(3, pooling=LAST_TOKEN)
    plan = engine.plan()

    with pytest.raises(WorkerError, match="asked for the vectors of the rows at"):
        engine.resolve(StepResult(step_id=plan.step_id, token_ids=[]))


def test_an_aborted_request_gets_no_vector(make_engine):
    engine = make_engine()
    request = engine.add(3, pooling=LAST_TOKEN)
    engine.plan()
    engine.scheduler.finish(request, FinishReason.ABORT)

    engine.resolve()

    assert request.vector is None
