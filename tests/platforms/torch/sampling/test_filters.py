"""Top-k, top-p and min-p keep what their definitions keep."""

import pytest
import torch

from jackfield_torch.sampling.filters import Filters

SIZE = 500


def make_filters(rows):
    """Of (top_k, top_p, min_p) a row."""
    top_k, top_p, min_p = zip(*rows, strict=True)
    ordered = [k for k, p, _ in rows if k < SIZE or p < 1]
    return Filters(
        top_k_S=torch.tensor(top_k),
        top_p_S=torch.tensor(top_p, dtype=torch.float64),
        min_p_S=torch.tensor(min_p, dtype=torch.float32),
        is_active=bool(ordered) or any(min_p),
        needs_order=bool(ordered),
        most_k=max(ordered) if ordered and max(ordered) < SIZE else None,
    )


def make_weights(num_rows):
    logits = 3 * torch.randn(num_rows, SIZE, generator=torch.Generator().manual_seed(1))
    return (logits - logits.amax(-1, keepdim=True)).exp()


def kept_by_definition(weights, top_k, top_p, min_p):
    """The set of tokens, one condition after the other, in float64."""
    order = weights.double().argsort(descending=True, stable=True)[:top_k]
    mass = weights.double()[order]
    before = mass.cumsum(0) - mass
    order = order[before < top_p * mass.sum()]
    return {int(token) for token in order if weights[token] >= min_p}


ROWS = {
    "none": (SIZE, 1.0, 0.0),
    "top_k": (7, 1.0, 0.0),
    "top_k of one": (1, 1.0, 0.0),
    "top_p": (SIZE, 0.8, 0.0),
    "small top_p": (SIZE, 1e-6, 0.0),
    "min_p": (SIZE, 1.0, 0.1),
    "min_p of one": (SIZE, 1.0, 1.0),
    "top_k and top_p": (20, 0.5, 0.0),
    "all": (30, 0.9, 0.05),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_filter_keeps_what_its_definition_keeps(row):
    weights = make_weights(1)

    kept = make_filters([row]).apply(weights.clone())

    assert set(kept[0].nonzero().flatten().tolist()) == kept_by_definition(weights[0], *row)


def test_rows_with_different_filters_run_together():
    weights = make_weights(len(ROWS))

    kept = make_filters(list(ROWS.values())).apply(weights.clone())

    for kept_V, weights_V, row in zip(kept, weights, ROWS.values(), strict=True):
        assert set(kept_V.nonzero().flatten().tolist()) == kept_by_definition(weights_V, *row)


def test_a_filter_changes_no_weight_that_it_keeps():
    weights = make_weights(1)

    kept = make_filters([ROWS["all"]]).apply(weights.clone())

    assert torch.equal(kept[kept > 0], weights[kept > 0])


def test_equal_weights_at_the_threshold_stay_together():
    weights = torch.zeros(1, SIZE)
    weights[0, :4] = torch.tensor([1.0, 0.5, 0.5, 0.5])

    kept = make_filters([(2, 1.0, 0.0)]).apply(weights)

    assert kept[0].nonzero().flatten().tolist() == [0, 1, 2, 3]
