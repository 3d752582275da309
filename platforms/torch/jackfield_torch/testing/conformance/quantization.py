"""The kit of quantization schemes: linears equal the product with the dequantised weights, however they are cut."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from jackfield.errors import JackfieldError
from jackfield.testing.conformance.card import CardKit
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.quantization import (
    KIND,
    LinearPart,
    QuantizationNeed,
    QuantizationScheme,
)
from jackfield_torch.testing.conformance.covering import Choice, covering
from jackfield_torch.testing.conformance.devices import choose_device
from jackfield_torch.testing.conformance.linear_parts import StoredParts
from jackfield_torch.testing.conformance.tensor_weights import TensorWeights
from jackfield_torch.testing.conformance.tolerances import TOLERANCES, check_linear

_NO_METHOD = "a_method_of_nobody"
_SIZE = 512  # inputs and outputs that every scheme serves on 1, 2 and 4 ranks
_ODD = ((37, 1), (1, 37), (100, 60), (513, 511), (512, 3), (520, 24), (130, 514))
_CASES = list(
    covering(
        {
            "dtype": tuple(TOLERANCES),
            "size": ((_SIZE, _SIZE), (_SIZE, 1536), (1536, _SIZE), (2 * _SIZE, 128)),
            "num_tokens": (1, 0, 2, 17, 130),
            "bias": (False, True),
            "split": ("column", "row", "none"),
        }
    )
)
_RANKS = [pytest.param(r, n, id=f"rank {r} of {n}") for n in (2, 4) for r in range(n)]
_COPIED = [
    pytest.param(r, n, copies, id=f"rank {r} of {n}-{copies} copies")
    for n in (2, 4)
    for r in range(n)
    for copies in (2, 4)
    if copies <= n
]
_FUSED: Mapping[str, tuple[LinearPart, ...]] = {
    "qkv": tuple(
        LinearPart(name=name, in_size=_SIZE, out_size=size)
        for name, size in (("q", 2 * _SIZE), ("k", _SIZE), ("v", _SIZE))
    ),
    "gate and up": tuple(
        LinearPart(name=name, in_size=_SIZE, out_size=_SIZE) for name in ("gate", "up")
    ),
    "all with bias": tuple(
        LinearPart(name=name, in_size=_SIZE, out_size=_SIZE, bias=True) for name in ("q", "k", "v")
    ),
    "some with bias": tuple(
        LinearPart(name=name, in_size=_SIZE, out_size=_SIZE, bias=name != "k") for name in "qkv"
    ),
    "some in copies": tuple(
        LinearPart(name=name, in_size=_SIZE, out_size=_SIZE, copies=copies)
        for name, copies in (("q", 1), ("k", 2), ("v", 2))
    ),
}


def _sizes(size: object) -> str:
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def _id(case: Choice) -> str:
    bias = "-bias" if case["bias"] else ""
    return f"{case['dtype']}-{_sizes(case['size'])}-{case['num_tokens']} rows-{case['split']}{bias}"


class QuantizationKit(CardKit):
    """A third party's test file names the entry point, and how checkpoints of the scheme are made:

    class TestMine(QuantizationKit):
        name = "mine"
        method = "mine"

        def quantise(self, weight_OI): ...
        def dequantise(self, tensors): ...
    """

    kind = KIND
    method: ClassVar[str] = "none"  # `quantization_config.quant_method` of such checkpoints
    settings: ClassVar[Mapping[str, Any]] = {}  # what stands beside it there: bits, group_size, ...
    device: ClassVar[str] = ""  # torch's word; "": the first here that the scheme serves
    max_loss: ClassVar[float] = 0.25  # of `quantise`: root mean square, relative to the weights
    input_unit: ClassVar[float] = 0.0  # of the format that inputs are rounded to: 2**-3 in float8

    def quantise(self, weight_OI: Tensor) -> Mapping[str, Tensor]:
        """The parameters that a checkpoint stores of a weight, on the host, by the names that the scheme reads.

        Raises a JackfieldError where the format has no such shape.
        """
        return {"weight": weight_OI}

    def dequantise(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """weight_OI of what `quantise` returned, as exactly as a float64 can say it."""
        return tensors["weight"]

    @pytest.fixture
    def scheme(self) -> QuantizationScheme:
        """The card under test."""
        scheme: QuantizationScheme = self.load()
        return scheme

    @pytest.fixture
    def needs(self) -> list[QuantizationNeed]:
        """Of each dtype, of plain weights, and of a method that nobody reads."""
        others = [self._need("float32", method=method) for method in ("none", _NO_METHOD)]
        return [*map(self._need, TOLERANCES), *others]

    @pytest.fixture
    def dtype(self) -> str:
        """The first dtype of activations that the scheme claims."""
        for dtype in TOLERANCES:
            if not self.refusal(self._need(dtype)):
                return dtype
        pytest.fail(f"claims nothing: {self.refusal(self._need('float32'))}")

    @classmethod
    @cache
    def used_device(cls) -> str:
        """The device that the kit runs on."""
        kit = cls()
        return choose_device(
            cls.device,
            lambda device: not all(kit.refusal(kit._need(dtype, device)) for dtype in TOLERANCES),
        )

    def stored(self, parts: Sequence[LinearPart], dtype: str) -> StoredParts:
        """A checkpoint of such parts."""
        return StoredParts(
            [replace(part, settings=self.settings) for part in parts],
            dtype=dtype,
            device=self.used_device(),
            quantise=self.quantise,
            dequantise=self.dequantise,
        )

    def check(self, found: Tensor, stored: StoredParts, x: Tensor, *ranks: int) -> None:
        """Raises AssertionError where an output is not what the stored weights say."""
        assert found.dtype == x.dtype, f"outputs are {found.dtype}, not {x.dtype}"
        assert found.device == x.device, f"outputs are on {found.device}, not {x.device}"
        name = str(x.dtype).removeprefix("torch.")
        check_linear(found, stored.exact(x, *ranks), name, self.input_unit)

    @pytest.mark.parametrize("dtype_", TOLERANCES)
    def test_a_dtype_is_claimed_or_refused_with_a_reason(self, dtype: str, dtype_: str) -> None:
        """The list of what the scheme can do; skipped is what it refuses."""
        self.require(self._need(dtype_))

    def test_checkpoints_of_another_method_are_refused(self, dtype: str) -> None:
        """Their parameters mean something else."""
        need = self._need(dtype, method=_NO_METHOD)
        assert self.refusal(need), f"claims to read checkpoints of {need.method}"

    def test_stored_weights_are_close_to_the_dense_ones(self, dtype: str) -> None:
        """That `quantise` and `dequantise` of the kit are each other's inverse, but for rounding."""
        stored = self.stored([_part()], dtype)
        dense, exact = stored.dense["linear"].double(), stored.exact_weights["linear"]
        assert exact.shape == dense.shape
        loss = float((exact - dense).square().mean().sqrt() / dense.square().mean().sqrt())
        assert loss <= self.max_loss, f"the stored weights differ by {loss:.0%} from the dense ones"

    @pytest.mark.parametrize("size", [(_SIZE, _SIZE), (1536, _SIZE), (_SIZE, 1536)], ids=_sizes)
    def test_each_packed_weight_comes_back(
        self, scheme: QuantizationScheme, dtype: str, size: tuple[int, int]
    ) -> None:
        """Inputs with a single one in them read the weights out, one by one."""
        stored = self.stored([_part(*size)], dtype)
        x_TI = torch.eye(size[0], dtype=stored.dtype, device=stored.device)
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    @pytest.mark.parametrize("case", _CASES, ids=_id)
    def test_a_linear_equals_the_product_in_float64(
        self, scheme: QuantizationScheme, case: Choice
    ) -> None:
        """With the dequantised weights; every pair of dtype, size, number of rows, bias and split."""
        self.require(self._need(case["dtype"]))
        part = _part(*case["size"], bias=case["bias"], split=case["split"])
        stored = self.stored([part], case["dtype"])
        x_TI = stored.input(case["num_tokens"])
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    @pytest.mark.parametrize("split", ["column", "row"])
    @pytest.mark.parametrize("size", _ODD, ids=_sizes)
    def test_odd_shapes_are_right_or_refused(
        self, scheme: QuantizationScheme, dtype: str, size: tuple[int, int], split: str
    ) -> None:
        """No multiple of a group, a tile or a word; refused with an error of jackfield.errors."""
        try:
            stored = self.stored([_part(*size, bias=True, split=split)], dtype)
            linear = stored.create(scheme)
        except JackfieldError as error:
            _skip_refused(error)
        x_TI = stored.input(3)
        self.check(linear(x_TI), stored, x_TI)

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
        stored = self.stored([_part(bias=bias, split=split)], dtype)
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
            stored = self.stored([_part(3 * _SIZE // 2, 36, split=split)], dtype)
            linear = stored.create(scheme, rank, num_ranks)
        except JackfieldError as error:
            _skip_refused(error)
        x_TI = stored.input(5, rank, num_ranks)
        self.check(linear(x_TI), stored, x_TI, rank, num_ranks)

    @pytest.mark.parametrize(("rank", "num_ranks", "copies"), _COPIED)
    def test_ranks_that_outnumber_heads_hold_copies(
        self, scheme: QuantizationScheme, dtype: str, rank: int, num_ranks: int, copies: int
    ) -> None:
        """`copies` ranks in a row have the same share."""
        stored = self.stored([_part(bias=True, copies=copies)], dtype)
        x_TI = stored.input(5)
        y_TO = stored.create(scheme, rank, num_ranks)(x_TI)
        self.check(y_TO, stored, x_TI, rank, num_ranks)

    @pytest.mark.parametrize(("rank", "num_ranks"), [(0, 1), (1, 2), (2, 4)])
    @pytest.mark.parametrize("parts", _FUSED.values(), ids=_FUSED)
    def test_fused_parts_give_what_each_gives_alone(
        self,
        scheme: QuantizationScheme,
        dtype: str,
        parts: Sequence[LinearPart],
        rank: int,
        num_ranks: int,
    ) -> None:
        """In their order. What `can_fuse` allows, `create` must not refuse."""
        parts = [
            replace(part, copies=min(part.copies, num_ranks), settings=self.settings)
            for part in parts
        ]
        if not scheme.can_fuse(parts):
            pytest.skip("can_fuse says no")
        stored = self.stored(parts, dtype)
        x_TI = stored.input(5)
        y_TO = stored.create(scheme, rank, num_ranks)(x_TI)
        self.check(y_TO, stored, x_TI, rank, num_ranks)

    def test_inputs_may_be_views_into_a_wider_tensor(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """Only their last axis is contiguous."""
        stored = self.stored([_part()], dtype)
        x_TI = stored.input(5)
        wide = torch.cat([x_TI, torch.full_like(x_TI, torch.nan)], 1)
        self.check(stored.create(scheme)(wide[:, :_SIZE]), stored, x_TI)

    def test_inputs_are_left_as_they_are(self, scheme: QuantizationScheme, dtype: str) -> None:
        """Others read them after this linear."""
        stored = self.stored([_part(bias=True)], dtype)
        x_TI = stored.input(5)
        before = x_TI.clone()
        stored.create(scheme)(x_TI)
        assert torch.equal(before, x_TI)

    def test_calls_of_other_sizes_in_between_change_nothing(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """The same input gives the same bytes."""
        stored = self.stored([_part()], dtype)
        linear, x_TI = stored.create(scheme), stored.input(3)
        first = linear(x_TI).clone()
        for num_tokens in (64, 1, 0):
            linear(stored.input(num_tokens))
        assert torch.equal(first, linear(x_TI))

    @pytest.mark.parametrize("split", ["column", "row"])
    def test_a_share_does_not_keep_the_whole_alive(
        self, scheme: QuantizationScheme, dtype: str, split: str
    ) -> None:
        """Else every rank would hold the whole model."""
        stored = self.stored([_part(bias=True, split=split)], dtype)
        linear = stored.create(scheme, 1, 2)
        gc.collect()
        assert isinstance(linear, Linear)
        assert stored.weights.num_alive == 0, "tensors that were read are still held"

    def test_a_checkpoint_without_its_parameters_is_refused(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """With an error of jackfield.errors; there is nothing that could stand for weights."""
        stored = self.stored([_part()], dtype)
        with pytest.raises(JackfieldError):
            stored.create(scheme, weights=TensorWeights({}))

    def _need(self, dtype: str, device: str = "", method: str = "") -> QuantizationNeed:
        return QuantizationNeed(
            device=device or self.used_device(),
            dtype=dtype,
            method=method or self.method,
            settings={} if method else self.settings,
        )


def _part(
    in_size: int = _SIZE,
    out_size: int = _SIZE,
    *,
    bias: bool = False,
    split: str = "column",
    copies: int = 1,
) -> LinearPart:
    return LinearPart(
        name="linear", in_size=in_size, out_size=out_size, bias=bias, split=split, copies=copies
    )


def _skip_refused(error: JackfieldError) -> None:
    assert str(error), f"{type(error).__name__} says nothing"
    pytest.skip(f"refuses: {error}")
