"""The part of the kit of quantization schemes about shares of ranks, and parts that become one matrix."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from jackfield.errors import JackfieldError
from jackfield_testing_torch.conformance.linear_kit import (
    FUSED,
    SIZE,
    LinearKit,
    odd_part,
    skip_refused,
)
from jackfield_testing_torch.conformance.tensor_bytes import made_with_bytes
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.quantization import LinearPart, QuantizationScheme

_LARGEST_SHARE = 0.52  # of two ranks
_ONE_OF_EACH = [
    pytest.param(*one, id=f"rank {one[0]} of {one[1]}") for one in ((0, 1), (1, 2), (2, 4))
]
_RANKS = [pytest.param(r, n, id=f"rank {r} of {n}") for n in (2, 4) for r in range(n)]
_COPIED = [
    pytest.param(r, n, copies, id=f"rank {r} of {n}-{copies} copies")
    for n in (2, 4)
    for r in range(n)
    for copies in (2, 4)
    if copies <= n
]


class LinearShares(LinearKit):
    """What each rank holds and computes."""

    @pytest.mark.parametrize(("rank", "num_ranks"), _RANKS)
    @pytest.mark.parametrize("split", ["column", "row", "none"])
    @pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
    def test_each_rank_holds_its_share(
        self,
        scheme: QuantizationScheme,
        dtype: str,
        rank: int,
        num_ranks: int,
        split: str,
        bias: bool,
    ) -> None:
        """Of the outputs, or of the inputs; the bias of a row split is added by rank 0 alone."""
        stored = self.stored([self.part(bias=bias, split=split)], dtype)
        x_TI = stored.input(5, rank, num_ranks)
        y_TO = stored.create(scheme, rank, num_ranks)(x_TI)
        self.check(y_TO, stored, x_TI, rank, num_ranks)

    @pytest.mark.parametrize(("rank", "num_ranks"), _RANKS)
    @pytest.mark.parametrize("split", ["column", "row"])
    def test_odd_shares_are_right_or_refused(
        self, scheme: QuantizationScheme, dtype: str, rank: int, num_ranks: int, split: str
    ) -> None:
        """Shares that cut through a group, a tile or a word."""
        try:
            stored = self.stored([odd_part(3 * SIZE // 2, 36, split)], dtype)
            linear = stored.create(scheme, rank, num_ranks)
        except JackfieldError as error:
            skip_refused(error)
        x_TI = stored.input(5, rank, num_ranks)
        self.check(linear(x_TI), stored, x_TI, rank, num_ranks)

    @pytest.mark.parametrize(("rank", "num_ranks", "copies"), _COPIED)
    def test_ranks_that_outnumber_heads_hold_copies(
        self, scheme: QuantizationScheme, dtype: str, rank: int, num_ranks: int, copies: int
    ) -> None:
        """`copies` ranks in a row have the same share."""
        stored = self.stored([self.part(bias=True, copies=copies)], dtype)
        x_TI = stored.input(5)
        y_TO = stored.create(scheme, rank, num_ranks)(x_TI)
        self.check(y_TO, stored, x_TI, rank, num_ranks)

    @pytest.mark.parametrize(("rank", "num_ranks"), [(0, 1), (1, 2), (2, 4)])
    @pytest.mark.parametrize("parts", FUSED.values(), ids=FUSED)
    def test_fused_parts_give_what_each_gives_alone(
        self,
        scheme: QuantizationScheme,
        dtype: str,
        parts: Sequence[LinearPart],
        rank: int,
        num_ranks: int,
    ) -> None:
        """In their order. What `can_fuse` allows, `create` must not refuse."""
        stored = self.stored(self.fusable(scheme, parts, num_ranks), dtype)
        x_TI = stored.input(5)
        y_TO = stored.create(scheme, rank, num_ranks)(x_TI)
        self.check(y_TO, stored, x_TI, rank, num_ranks)

    @pytest.mark.parametrize(("rank", "num_ranks"), _ONE_OF_EACH)
    @pytest.mark.parametrize("fused", FUSED.values(), ids=FUSED)
    def test_weights_of_parts_and_outputs_may_differ_in_size(
        self,
        scheme: QuantizationScheme,
        dtype: str,
        fused: Sequence[LinearPart],
        rank: int,
        num_ranks: int,
    ) -> None:
        """By orders of magnitude, and so do their scales."""
        stored = self.stored(self.fusable(scheme, fused, num_ranks), dtype, rescale=_unlike)
        x_TI = stored.input(5)
        y_TO = stored.create(scheme, rank, num_ranks)(x_TI)
        self.check(y_TO, stored, x_TI, rank, num_ranks)

    @pytest.mark.parametrize("split", ["column", "row"])
    def test_a_share_does_not_keep_the_whole_alive(
        self, scheme: QuantizationScheme, dtype: str, split: str
    ) -> None:
        """Else every rank would hold the whole model."""
        stored = self.stored([self.part(bias=True, split=split)], dtype)
        linear = stored.create(scheme, 1, 2)
        gc.collect()
        assert isinstance(linear, Linear)
        assert stored.weights.num_alive == 0, "tensors that were read are still held"

    @pytest.mark.parametrize("split", ["column", "row"])
    def test_a_share_takes_its_share_of_memory(
        self, scheme: QuantizationScheme, dtype: str, split: str
    ) -> None:
        """Of the bytes that one rank alone would hold, two ranks hold half each; scales of outputs may be on both."""
        stored = self.stored([self.part(4 * SIZE, SIZE, split=split)], dtype)
        _, whole = made_with_bytes(lambda: stored.create(scheme))
        _, share = made_with_bytes(lambda: stored.create(scheme, 1, 2))
        assert share <= _LARGEST_SHARE * whole, f"rank 1 of 2 holds {share} bytes of {whole}"


def _unlike(index: int, weight_OI: Tensor) -> Tensor:
    """Each part ten times as large as the one before, and in each outputs of many sizes."""
    sizes_O = torch.logspace(-3, 1, len(weight_OI), device=weight_OI.device)
    return 0.05 * 12.0**index * sizes_O.unsqueeze(1) * weight_OI
