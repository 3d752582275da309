"""Steps of a worker: the tokens are those of whole forward passes, however prompts are cut and rows come and go."""

import gc
import weakref

import pytest
import torch

from jackfield.config import load_config
from jackfield.sampling import SamplingParams
from jackfield.startup.blueprint import make_blueprint
from jackfield.step import (
    BlockAppend,
    BlockCopy,
    BlockReplace,
    Draft,
    LateInputs,
    NewRow,
    StepPlan,
    TokenMasks,
)
from jackfield_cpu.platform import CpuPlatform

pytestmark = pytest.mark.cpu_model

BLOCK_SIZE = 4
NUM_BLOCKS = 40
GREEDY = SamplingParams(temperature=0.0)
PROMPT = [11, 4, 27, 90, 3, 15, 61, 8, 42, 77, 30]


def make_worker(model, **settings):
    code = {
        "model.reference": str(model.path),
        "model.dtype": "float32",
        "cache.block_size": BLOCK_SIZE,
        "scheduler.max_rows": 4,
        **settings,
    }
    blueprint = make_blueprint(load_config(environ={}, code=code))
    worker = CpuPlatform().create_worker(blueprint.context())
    report = worker.load()
    worker.allocate([NUM_BLOCKS] * len(report.groups))
    return worker


class Driver:
    """Submits plans to a worker, as a scheduler would."""

    def __init__(self, model, **settings):
        self.worker = make_worker(model, **settings)
        self.num_groups = len(model.spec.cache_groups(model.spec.dtype))
        self.num_steps = 0

    def new_row(self, row, token_ids, blocks, sampling=GREEDY, **facts):
        return NewRow(
            row=row,
            token_ids=token_ids,
            num_prompt_tokens=facts.pop("num_prompt_tokens", len(token_ids)),
            num_computed=facts.pop("num_computed", 0),
            block_ids=(blocks,) * self.num_groups,
            sampling=sampling,
            seed=facts.pop("seed", 1),
            **facts,
        )

    def submit(self, rows=(), num_tokens=None, samples=None, **parts):
        self.num_steps += 1
        return self.worker.submit(
            StepPlan(
                step_id=self.num_steps,
                rows=rows,
                num_tokens=num_tokens or [1] * len(rows),
                samples=[True] * len(rows) if samples is None else samples,
                **parts,
            )
        )

    def step(self, *arguments, **parts):
        return self.submit(*arguments, **parts).result(0)

    def decode(self, rows, num_steps):
        """Tokens of each row over some steps of one token."""
        columns = [self.step(rows).token_ids for _ in range(num_steps)]
        return [list(tokens) for tokens in zip(*columns, strict=True)]


@pytest.fixture
def driver(model):
    driver = Driver(model)
    yield driver
    driver.worker.close()


def test_greedy_tokens_are_those_of_whole_forward_passes(driver, model):
    new = driver.new_row(2, PROMPT, range(10))

    first = driver.step([2], [len(PROMPT)], new_rows=[new]).token_ids
    rest = driver.decode([2], 12)[0]

    assert [*first, *rest] == model.greedy(PROMPT, 13)


@pytest.mark.parametrize("chunks", [[1] * 11, [4, 7], [3, 3, 5], [10, 1]], ids=str)
def test_a_prompt_in_chunks_gives_the_same_tokens(driver, model, chunks):
    new = [driver.new_row(0, PROMPT, range(10))]
    done = 0
    for count in chunks:
        done += count
        result = driver.step([0], [count], [done == len(PROMPT)], new_rows=new)
        new = []

    assert [*result.token_ids, *driver.decode([0], 6)[0]] == model.greedy(PROMPT, 7)


def test_rows_that_prefill_and_rows_that_decode_share_a_step(driver, model):
    other = [60, 2, 2, 35, 80]
    (first,) = driver.step([1], [5], new_rows=[driver.new_row(1, other, [9, 7, 5])]).token_ids
    (second,) = driver.step([1]).token_ids

    mixed = driver.step(
        [3, 1], [len(PROMPT), 1], new_rows=[driver.new_row(3, PROMPT, [2, 4, 6, 8])]
    )
    theirs, ours = driver.decode([3, 1], 3)

    assert [mixed.token_ids[0], *theirs] == model.greedy(PROMPT, 4)
    assert [first, second, mixed.token_ids[1], *ours] == model.greedy(other, 6)


def test_a_row_that_was_preempted_goes_on_where_it_was(driver, model):
    expected = model.greedy(PROMPT, 9)
    driver.step([0], [len(PROMPT)], new_rows=[driver.new_row(0, PROMPT, range(10))])
    driver.decode([0], 3)

    known = [*PROMPT, *expected[:4]]
    again = driver.new_row(1, known, range(20, 30), num_prompt_tokens=len(PROMPT))
    (fifth,) = driver.step([1], [len(known)], removed_rows=[0], new_rows=[again]).token_ids

    assert [fifth, *driver.decode([1], 4)[0]] == expected[4:]


def test_a_shared_prefix_is_read_from_the_blocks_of_another_row(driver, model):
    driver.step([0], [len(PROMPT)], new_rows=[driver.new_row(0, PROMPT, [0, 1, 2, 3])])
    other = [*PROMPT[:8], 50, 51]

    hit = driver.new_row(1, other, [0, 1, 20, 21], num_computed=8)
    (first,) = driver.step([1], [2], new_rows=[hit]).token_ids

    assert [first, *driver.decode([1], 3)[0]] == model.greedy(other, 4)


def test_a_shared_tail_is_copied_before_it_is_written(driver, model):
    driver.step([0], [len(PROMPT)], new_rows=[driver.new_row(0, PROMPT, [0, 1, 2, 3])])
    other = [*PROMPT[:10], 70, 21]  # the third block is shared in part

    hit = driver.new_row(1, other, [0, 1, 2], num_computed=10)
    copies = [BlockCopy(group, 2, 30) for group in range(driver.num_groups)]
    replaced = [BlockReplace(1, group, 2, 30) for group in range(driver.num_groups)]
    appended = [BlockAppend(1, group, [31]) for group in range(driver.num_groups)]
    (first,) = driver.step(
        [1], [2], new_rows=[hit], copies=copies, replaced_blocks=replaced, new_blocks=appended
    ).token_ids

    assert [first, *driver.decode([1], 2)[0]] == model.greedy(other, 3)
    assert len(driver.decode([0], 2)[0]) == 2  # the owner goes on with its own tail


def test_a_step_may_be_planned_before_the_host_saw_the_last_token(driver, model):
    futures = [driver.submit([0], [len(PROMPT)], new_rows=[driver.new_row(0, PROMPT, range(10))])]
    futures += [driver.submit([0]) for _ in range(4)]

    assert [future.result(0).token_ids[0] for future in futures] == model.greedy(PROMPT, 5)


def test_a_step_without_rows_is_answered(driver):
    driver.step([0], [3], new_rows=[driver.new_row(0, [1, 2, 3], [0])])

    assert list(driver.step(removed_rows=[0]).token_ids) == []


def test_log_probabilities_of_a_prompt_come_chunk_by_chunk(driver, model):
    params = SamplingParams(temperature=0.0, prompt_logprobs=2)
    new = driver.new_row(0, PROMPT, range(10), params)

    entries = [*driver.step([0], [4], [False], new_rows=[new]).prompt_logprobs[0]]
    entries += driver.step([0], [7]).prompt_logprobs[0]

    expected = model.logits(PROMPT).log_softmax(-1)
    assert [entry.token_id for entry in entries] == PROMPT[1:]
    for entry, row in zip(entries, expected, strict=False):
        assert entry.logprob == pytest.approx(row[entry.token_id].item(), abs=1e-4)
        assert list(entry.top_ids) == row.topk(2).indices.tolist()
    assert driver.step([0]).prompt_logprobs == {}


def test_log_probabilities_stand_where_their_row_stands_in_the_plan(driver):
    with_logprobs = SamplingParams(temperature=0.0, logprobs=1)
    new = [driver.new_row(0, [1, 2], [0]), driver.new_row(1, [3, 4, 5], [1], with_logprobs)]

    result = driver.step([0, 1], [1, 3], [False, True], new_rows=new)

    assert list(result.logprobs) == [1]
    assert result.logprobs[1][0].top_ids == (result.token_ids[0],)


def test_tokens_are_drawn_when_the_late_inputs_have_come(driver):
    allowed = 33
    mask = (1 << allowed).to_bytes(12, "little")
    new = [driver.new_row(0, PROMPT, range(10)), driver.new_row(1, [1, 2], [20, 21])]

    first = driver.submit([1, 0], [1, len(PROMPT)], [False, True], new_rows=new, awaits_late=True)
    second = driver.submit([0])
    assert not first.done()
    assert not second.done()
    driver.worker.sample(1, LateInputs(masks=TokenMasks([1], mask)))

    assert first.result(0).token_ids == [allowed]
    assert second.done()


@pytest.mark.parametrize("num_right", [0, 1, 3])
def test_a_draft_is_confirmed_as_far_as_it_is_right(driver, model, num_right):
    expected = model.greedy(PROMPT, 9)
    driver.step([0], [len(PROMPT)], new_rows=[driver.new_row(0, PROMPT, range(10))])
    guesses = expected[1:4]
    guesses[num_right:] = [token ^ 1 for token in guesses[num_right:]]

    result = driver.step([0], [4], drafts=[Draft(0, len(PROMPT) + 1, guesses)])

    assert result.counts == [num_right + 1]
    assert result.token_ids == expected[1 : num_right + 2]
    rest = driver.decode([0], 7 - num_right)[0]
    assert [*result.token_ids, *rest] == expected[1:]


def test_a_draft_that_begins_elsewhere_than_its_row_ends_counts_for_nothing(driver, model):
    expected = model.greedy(PROMPT, 6)
    driver.step([0], [len(PROMPT)], new_rows=[driver.new_row(0, PROMPT, range(10))])
    wrong = [token ^ 1 for token in expected[1:3]]

    first = driver.step([0], [3], drafts=[Draft(0, len(PROMPT) + 1, wrong)])
    # planned as if all of the first draft had been right
    second = driver.step([0], [3], drafts=[Draft(0, len(PROMPT) + 4, expected[2:4])])

    assert (first.counts, second.counts) == ([1], [1])
    tokens = [*first.token_ids, *second.token_ids, *driver.decode([0], 3)[0]]
    assert tokens == expected[1:]


def test_drafts_stand_among_rows_of_all_kinds(driver, model):
    other = [60, 2, 2, 35, 80]
    expected, theirs = model.greedy(PROMPT, 6), model.greedy(other, 5)
    driver.step([1], [5], new_rows=[driver.new_row(1, other, [11, 12, 13])])
    driver.step([0], [len(PROMPT)], new_rows=[driver.new_row(0, PROMPT, range(10))])

    mixed = driver.step(
        [1, 2, 0],
        [1, 3, 3],
        [True, False, True],
        new_rows=[driver.new_row(2, PROMPT, range(20, 30))],
        drafts=[Draft(2, len(PROMPT) + 1, expected[1:3])],
    )

    assert (mixed.counts, mixed.token_ids) == ([1, 3], [theirs[1], *expected[1:4]])
    assert driver.step([2], [8]).token_ids == expected[:1]
    assert driver.decode([0, 1], 2) == [expected[4:6], theirs[2:4]]


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=1.3, top_p=0.95, logprobs=2),
        SamplingParams(temperature=0.9, presence_penalty=1.5, frequency_penalty=0.5, logprobs=2),
        SamplingParams(
            temperature=1.0, min_tokens=7, max_tokens=9, stop_token_ids=tuple(range(40))
        ),
    ],
    ids=["filters", "penalties", "held back"],
)
def test_a_row_draws_with_a_draft_what_it_draws_without(tiny_llama, params):
    def run(*guesses):
        """Tokens and log probabilities after the first token, with a draft of these guesses in each step."""
        driver = Driver(tiny_llama)
        new = driver.new_row(0, PROMPT, range(10), params, seed=3)
        tokens = [*driver.step([0], [len(PROMPT)], new_rows=[new]).token_ids]
        logprobs = []
        while len(tokens) < 10:
            start = len(PROMPT) + len(tokens)
            draft = guesses[len(tokens) : len(tokens) + 3]
            drafts = [Draft(0, start, draft)] if draft else []
            result = driver.step([0], [1 + len(draft)], drafts=drafts)
            tokens += result.token_ids
            logprobs += result.logprobs.get(0, ())
        driver.worker.close()
        return tokens[:10], [entry.logprob for entry in logprobs[:9]]

    plain, logprobs = run()
    wrong = [token if place % 4 else token ^ 1 for place, token in enumerate(plain)]

    for guesses in (plain, wrong):
        tokens, found = run(*guesses)
        assert tokens == plain
        assert found == pytest.approx(logprobs, abs=1e-4)


def test_a_row_whose_logits_are_not_finite_fails_alone(tiny_llama):
    driver = Driver(tiny_llama)
    new = [driver.new_row(0, PROMPT, range(10)), driver.new_row(1, [7, 7, 9], [20, 21])]
    (row_1,) = driver.step([1], [3], new_rows=[new[1]]).token_ids
    cache = next(iter(driver.worker._runner._caches[0].layers.values()))
    with torch.inference_mode():
        cache.views.value_BSHD[20, 0] = torch.nan

    result = driver.step([1, 0], [1, len(PROMPT)], new_rows=[new[0]])

    assert list(result.errors) == [0]
    assert "not finite" in result.errors[0]
    assert result.token_ids[1] == tiny_llama.greedy(PROMPT, 1)[0]
    assert row_1 == tiny_llama.greedy([7, 7, 9], 1)[0]
    driver.worker.close()


def test_a_seed_decides_whatever_the_chunks(tiny_llama):
    params = SamplingParams(temperature=1.0, top_k=20)

    def run(chunks):
        driver = Driver(tiny_llama)
        new = [driver.new_row(0, PROMPT, range(10), params, seed=9)]
        for index, count in enumerate(chunks):
            last = index == len(chunks) - 1
            result = driver.step([0], [count], [last], new_rows=[] if index else new)
        tokens = [*result.token_ids, *driver.decode([0], 8)[0]]
        driver.worker.close()
        return tokens

    assert run([11]) == run([4, 4, 3])


def test_the_report_says_what_a_block_takes(tiny_llama):
    context = make_blueprint(
        load_config(
            environ={},
            code={
                "model.reference": str(tiny_llama.path),
                "model.dtype": "bfloat16",
                "scheduler.max_rows": 4,
                "cache.block_size": BLOCK_SIZE,
            },
        )
    ).context()
    worker = CpuPlatform().create_worker(context)

    report = worker.load()

    # keys and values, 2 layers, 4 slots, 2 heads of 8, 2 bytes
    assert report.block_bytes == (2 * 2 * 4 * 2 * 8 * 2,)
    # 4 rows of 64 tokens: more would never be used
    assert report.cache_bytes == 4 * 16 * report.block_bytes[0]
    assert report.details["threads"]
    worker.close()


def test_a_closed_worker_keeps_nothing(tiny_llama):
    driver = Driver(tiny_llama)
    driver.step([0], [3], new_rows=[driver.new_row(0, [1, 2, 3], [0])])
    kept = [weakref.ref(driver.worker._loaded[0]), weakref.ref(driver.worker._runner._rows)]

    driver.worker.close()
    gc.collect()

    assert [ref() for ref in kept] == [None, None]
