"""What the sampler draws, edits and reports, row by row."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jackfield.sampling import SamplingParams
from jackfield.step import NewRow
from jackfield_torch.device import Device
from jackfield_torch.inbox import Inbox
from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.rows import Rows
from jackfield_torch.sampler import Sampler
from jackfield_torch.sampling.bit_masks import upload_masks
from jackfield_torch.staging import Slot

VOCAB = 60
CPU = torch.device("cpu")


def make_logits(num_rows, seed=0, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(num_rows, VOCAB, generator=generator)


def make_rows():
    rows = Rows(
        max_rows=8, max_length=5000, block_size=4, num_groups=1, vocab_size=VOCAB, device=CPU
    )
    kernels = Kernels()
    return rows, Inbox(Host(), CPU, kernels, rows.tensors, step_words=64, depth=1), kernels


class Host(Device):
    name = "cpu"

    def cache_bytes(self, settings, useful_bytes):
        return useful_bytes


class Harness:
    """A sampler with rows 0, 1, ... of these parameters, all with one prompt."""

    def __init__(self, *params, prompt=(1, 2, 3), output=(), seed=5, end_token_ids=()):
        self.rows, self.inbox, kernels = make_rows()
        self.sampler = Sampler(self.rows.tensors, kernels, VOCAB, CPU)
        self.num_rows = len(params)
        token_ids = [*prompt, *output]
        for row, sampling in enumerate(params):
            new = NewRow(
                row=row,
                token_ids=token_ids,
                num_prompt_tokens=len(prompt),
                num_computed=0,
                block_ids=((0,),),
                sampling=sampling,
                seed=seed + row,
                end_token_ids=end_token_ids,
            )
            self.enter(new)

    def enter(self, new):
        self.rows.enter(new, self.inbox)
        self.inbox.flush()
        self.sampler.enter(new)

    def draw(self, logits, rows=None, masks=None):
        rows = torch.arange(self.num_rows) if rows is None else torch.tensor(rows)
        batch = SimpleNamespace(rows_P=rows, rows=rows.numpy(), drafts=None)
        return self.sampler.sample(logits.clone(), batch, masks)

    def tokens(self, logits, **arguments):
        return self.draw(logits, **arguments).token_ids_P.tolist()


def frequencies(params, logits, num_rows=8, num_steps=500):
    """How often each token is drawn, at the positions 0, 1, ... of rows with different seeds."""
    harness = Harness(*[params] * num_rows)
    counts = torch.zeros(VOCAB, dtype=torch.float64)
    for _ in range(num_steps):
        drawn = torch.tensor(harness.tokens(logits.expand(num_rows, -1)))
        counts += torch.bincount(drawn, minlength=VOCAB)
    return counts


def assert_fits(counts, probabilities):
    """Chi-square of the counts stays below its 99.9 % quantile (Wilson and Hilferty's approximation)."""
    expected = probabilities * counts.sum()
    assert counts[probabilities == 0].sum() == 0
    used = expected >= 5
    rest = expected[~used].sum()
    chi_square = ((counts - expected)[used] ** 2 / expected[used]).sum()
    chi_square += (counts[~used].sum() - rest) ** 2 / rest if rest > 0 else 0
    freedom = int(used.sum()) - 1 + int(rest > 0)
    assert chi_square < freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3


def test_greedy_takes_the_most_likely_token():
    logits = make_logits(3)
    harness = Harness(*[SamplingParams(temperature=0.0)] * 3)

    assert harness.tokens(logits) == logits.argmax(-1).tolist()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_temperature_draws_by_softmax(temperature):
    logits = make_logits(1)

    counts = frequencies(SamplingParams(temperature=temperature), logits)

    assert_fits(counts, (logits[0].double() / temperature).softmax(0))


def test_filters_draw_by_what_is_left_of_the_softmax():
    logits = make_logits(1)
    probabilities = logits[0].double().softmax(0)
    order = probabilities.argsort(descending=True)[:12]
    mass = probabilities[order] / probabilities[order].sum()
    kept = order[mass.cumsum(0) - mass < 0.9]
    kept = kept[probabilities[kept] >= 0.05 * probabilities.max()]
    expected = torch.zeros(VOCAB, dtype=torch.float64)
    expected[kept] = probabilities[kept] / probabilities[kept].sum()

    counts = frequencies(SamplingParams(top_k=12, top_p=0.9, min_p=0.05), logits)

    assert_fits(counts, expected)


@pytest.mark.parametrize("temperature", [1e-30, 1e-6])
def test_a_tiny_temperature_is_nearly_greedy(temperature):
    logits = make_logits(1)

    assert Harness(SamplingParams(temperature=temperature)).tokens(logits) == [logits.argmax()]


def test_a_seed_gives_the_same_tokens_whatever_runs_beside_it():
    params = SamplingParams(temperature=1.0, top_p=0.9)
    logits = make_logits(1)
    alone, among = Harness(params), Harness(params, SamplingParams(), SamplingParams(top_k=3))

    expected = [alone.tokens(logits)[0] for _ in range(20)]
    found = [
        among.tokens(torch.cat([logits, make_logits(2, seed)]))[0]
        if seed % 2
        else among.tokens(logits, rows=[0])[0]
        for seed in range(20)
    ]

    assert found == expected
    assert len(set(expected)) > 1


def test_a_row_that_returns_goes_on_with_its_random_numbers():
    params, logits = SamplingParams(temperature=1.0), make_logits(1)
    harness = Harness(params)
    tokens = [harness.tokens(logits)[0] for _ in range(10)]

    returned = Harness(params, output=tokens[:4])

    assert [returned.tokens(logits)[0] for _ in range(6)] == tokens[4:]


def test_different_seeds_give_different_tokens():
    logits = make_logits(1)
    runs = {
        tuple(harness.tokens(logits)[0] for _ in range(8))
        for harness in (Harness(SamplingParams(), seed=seed) for seed in range(10))
    }

    assert len(runs) == 10


def test_greedy_and_random_rows_mix():
    logits = make_logits(4)
    greedy, random = SamplingParams(temperature=0.0), SamplingParams(temperature=1.0)

    mixed = Harness(random, greedy, random, greedy).tokens(logits)

    every = Harness(*[random] * 4).tokens(logits)
    best = logits.argmax(-1).tolist()
    assert mixed == [every[0], best[1], every[2], best[3]]


@pytest.mark.parametrize("output", [(), (7, 7, 9)])
def test_penalties_are_those_of_their_formulas(output):
    params = SamplingParams(
        temperature=0.0,
        repetition_penalty=1.7,
        presence_penalty=0.4,
        frequency_penalty=0.9,
        logprobs=VOCAB,
    )
    logits = make_logits(1, scale=1.0)
    harness = Harness(params, output=output)
    seen = list(output)

    for _ in range(12):  # the counts must follow what is drawn
        expected = logits[0].double()
        for token in {1, 2, 3, *seen}:
            value = expected[token]
            expected[token] = value / 1.7 if value > 0 else value * 1.7
        for token in set(seen):
            expected[token] -= 0.4 + 0.9 * seen.count(token)
        (token,) = harness.tokens(logits)
        assert token == expected.argmax()
        seen.append(token)
    assert len(set(seen)) > 5  # the penalties drove it on


def test_a_new_request_in_a_row_inherits_no_counts():
    params = SamplingParams(temperature=0.0, presence_penalty=50.0)
    logits = make_logits(1)
    harness = Harness(params)
    first = harness.tokens(logits)
    assert harness.tokens(logits) != first

    harness.sampler.leave(0)
    harness.enter(
        NewRow(
            row=0,
            token_ids=[4],
            num_prompt_tokens=1,
            num_computed=0,
            block_ids=((0,),),
            sampling=params,
            seed=0,
        )
    )

    assert harness.tokens(logits) == first


def test_logit_bias_forces_and_forbids():
    logits = make_logits(2)
    best = logits.argmax(-1).tolist()
    forced = SamplingParams(temperature=0.0, logit_bias={17: 100.0, VOCAB + 5: 100.0})
    forbidden = SamplingParams(temperature=0.0, logit_bias={best[1]: -100.0})

    first, second = Harness(forced, forbidden).tokens(logits)

    assert first == 17
    assert second == logits[1].topk(2).indices[1]


def test_end_and_stop_tokens_are_held_back_until_min_tokens():
    logits = make_logits(1)
    best, second, third = logits[0].topk(3).indices.tolist()
    params = SamplingParams(temperature=0.0, min_tokens=2, max_tokens=9, stop_token_ids=(second,))

    harness = Harness(params, end_token_ids=(best,))

    assert [harness.tokens(logits)[0] for _ in range(3)] == [third, third, best]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_late_mask_leaves_only_what_it_allows(temperature):
    logits = make_logits(2)
    allowed = {3, 8, 59}
    mask = np.packbits([token in allowed for token in range(64)], bitorder="little").tobytes()
    harness = Harness(*[SamplingParams(temperature=temperature)] * 2)
    free = Harness(*[SamplingParams(temperature=temperature)] * 2).tokens(logits)

    first, second = harness.tokens(logits, masks=upload_masks([1], mask, CPU))

    assert first == free[0]
    assert second in allowed


def test_log_probabilities_are_those_of_the_model():
    logits = make_logits(2)
    biased = SamplingParams(temperature=0.0, logprobs=3, logit_bias={11: 100.0})
    harness = Harness(biased, SamplingParams(temperature=0.7))

    drawn = harness.draw(logits)

    (entry, _) = drawn.logprobs.read(Slot(Host(), 64)).entries([3, 0])
    expected = logits[0].double().log_softmax(0)
    assert drawn.num_logprobs == (3, -1)
    assert entry.token_id == 11
    assert entry.logprob == pytest.approx(expected[11].item(), abs=1e-5)
    assert entry.rank == int((expected > expected[11]).sum()) + 1
    assert list(entry.top_ids) == expected.topk(3).indices.tolist()
    assert entry.top_logprobs == pytest.approx(expected.topk(3).values.tolist(), abs=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_finite_spoil_their_row_only(bad, temperature):
    logits = make_logits(3)
    expected = Harness(*[SamplingParams(temperature=temperature)] * 3).tokens(logits)
    logits[1, 5] = bad

    drawn = Harness(*[SamplingParams(temperature=temperature, top_p=0.99)] * 3).draw(logits)

    assert (drawn.token_ids_P >= 0).tolist() == [True, False, True]
    assert (drawn.token_ids_P < VOCAB).all()
    if not temperature:
        assert drawn.token_ids_P[[0, 2]].tolist() == [expected[0], expected[2]]


def test_a_mask_that_forbids_all_makes_its_row_invalid():
    drawn = Harness(SamplingParams(), SamplingParams()).draw(
        make_logits(2), masks=upload_masks([0], bytes(8), CPU)
    )

    assert (drawn.token_ids_P >= 0).tolist() == [False, True]
