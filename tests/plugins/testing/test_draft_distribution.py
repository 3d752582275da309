"""With and without a draft, the tokens that a row draws have the same distribution."""

import collections

import pytest

from jackfield.sampling import SamplingParams
from jackfield.step import Draft

NUM_DRAWS = 100_000
CRITICAL = 49.73  # of chi-square with 23 degrees of freedom, at 0.1 %


def chi_square(counts, others):
    """Of two samples of equal size. Source: Press et al. 2007, Numerical Recipes, section 14.3.3."""
    return sum((counts[k] - others[k]) ** 2 / (counts[k] + others[k]) for k in counts | others)


def draws(driver, seeds, guess):
    """The first two tokens behind a text, for each seed; drawn in one step where the first is what was guessed."""
    params = SamplingParams(temperature=1.0, top_k=24, max_tokens=4)
    for seed in seeds:
        new = driver.new(0, [5, 6], [0, 1], sampling=params, num_prompt_tokens=1, seed=seed)
        driver.step((0, 1, False), new_rows=[new])
        drafts = [] if guess is None else [Draft(0, 2, [guess])]
        drawn = [*driver.step((0, 1 + len(drafts), True), drafts=drafts).token_ids]
        if len(drawn) < 2:
            drawn += driver.step((0, 1, True)).token_ids
        driver.step(removed_rows=[0])
        yield tuple(drawn)


@pytest.mark.slow
def test_a_draft_does_not_change_how_tokens_are_distributed(driver):
    """Over as many seeds with a draft as without, which are others."""
    guess = next(draws(driver, [0], None))[0]
    drafted = list(draws(driver, range(NUM_DRAWS), guess))
    plain = list(draws(driver, range(NUM_DRAWS, 2 * NUM_DRAWS), None))

    firsts = [collections.Counter(row[0] for row in rows) for rows in (drafted, plain)]
    behind = [
        collections.Counter(row[1] for row in rows if row[0] == guess) for rows in (drafted, plain)
    ]
    assert len(firsts[0]) == len(firsts[1]) == 24
    assert sum(behind[0].values()) > NUM_DRAWS / 30  # confirmed guesses, with a token behind each
    assert chi_square(*firsts) < CRITICAL
    assert chi_square(*behind) < CRITICAL
