"""The part of the kit of attention backends on sizes that exceed a tile, a grid, a register or a short number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jackfield_testing.conformance.card import CardKit
from jackfield_testing_torch.conformance.attention_cases import FEATURES, AttentionCase, Claims
from jackfield_testing_torch.conformance.attention_rows import Numbers
from jackfield_testing_torch.conformance.attention_runs import attend

_LARGE = {  # rows as (queries, tokens in all)
    "tiles": ((300, 300), (130, 200), (65, 65), (64, 129), (1, 257)),
    "many": tuple((1 if n % 3 else 1 + n % 5, 9 + 7 * n % 61) for n in range(70)),
    "long": ((1, 3000), (4, 2100), (1, 1024)),
}
_HEADS = ((14, 2), (5, 1), (32, 2), (32, 8), (64, 8), (40, 40), (71, 1))
_HEAD_SIZES = (8, 32, 40, 72, 112, 160, 192, 320, 512)
_MORE_THAN_INT16 = 40_000
_STEEP = 32.0  # a scale that makes the scores of whole numbers hundreds


class AttentionSizes(CardKit):
    """Sizes at which kernels take another path."""

    @pytest.mark.parametrize("feature", FEATURES)
    @pytest.mark.parametrize("rows", _LARGE)
    def test_steps_may_be_larger_than_a_tile(
        self, claims: Claims, base: AttentionCase, rows: str, feature: str
    ) -> None:
        """There are hundreds of queries, keys and rows, so that kernels work in tiles, splits and partial sums."""
        attend(claims, replace(base, **FEATURES[feature]), rows=_LARGE[rows])

    @pytest.mark.parametrize("heads", _HEADS, ids=lambda heads: f"{heads[0]}x{heads[1]}")
    def test_heads_may_be_many_or_odd(
        self, claims: Claims, base: AttentionCase, heads: tuple[int, int]
    ) -> None:
        """The numbers of heads are those of models."""
        attend(claims, replace(base, heads=heads))

    @pytest.mark.parametrize("head_size", _HEAD_SIZES)
    def test_every_element_of_a_head_counts(
        self, claims: Claims, base: AttentionCase, head_size: int
    ) -> None:
        """The sizes are no powers of two, or exceed the registers."""
        attend(claims, replace(base, head_size=head_size))

    def test_block_ids_may_be_large(self, claims: Claims, base: AttentionCase) -> None:
        """There are more blocks than 16 bits can count."""
        attend(claims, base, num_unused=_MORE_THAN_INT16)

    @pytest.mark.parametrize("feature", ["plain", "sinks"])
    def test_scores_may_be_large(self, claims: Claims, base: AttentionCase, feature: str) -> None:
        """Scores are hundreds of either sign, whose exponentials no dtype can hold. They are exact, so rounding
        cannot matter.
        """
        case = replace(base, sharpness=_STEEP * base.head_size**0.5, **FEATURES[feature])
        attend(claims, case, numbers=Numbers(mean=2.0, is_whole=True))

    def test_products_may_be_large_before_the_scale(
        self, claims: Claims, base: AttentionCase
    ) -> None:
        """Products exceed float16, and the scale makes small scores of them."""
        size = 60.0
        case = replace(base, sharpness=size**-2)
        attend(claims, case, numbers=Numbers(size=size))
