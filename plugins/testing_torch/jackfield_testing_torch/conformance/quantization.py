"""The kit of quantization schemes: linears equal the product with the dequantised weights, however they are cut."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from jackfield.errors import JackfieldError
from jackfield_testing.conformance.card import CardKit
from jackfield_testing_torch.conformance.covering import Choice, covering
from jackfield_testing_torch.conformance.devices import choose_device
from jackfield_testing_torch.conformance.linear_parts import Rescale, StoredParts, same_weights
from jackfield_testing_torch.conformance.tensor_bytes import made_with_bytes
from jackfield_testing_torch.conformance.tensor_weights import TensorWeights
from jackfield_testing_torch.conformance.tolerances import TOLERANCES, check_linear
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.quantization import (
    KIND,
    LinearPart,
    QuantizationNeed,
    QuantizationScheme,
)

_NO_METHOD = "a_method_of_nobody"
_SIZE = 512  # the kit's `size` unless said otherwise; sizes of this module grow with it
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
_STEPS = (*range(1, 35), 63, 64, 65, 128, 256, 257, 300)  # rows at which kernels change
_LARGE = ((8192, 128), (128, 8192), (14336, 64))
_LARGEST_SHARE = 0.52  # of two ranks
_ROW_SIZES = (1, 0, 300, 1e-3, 30, 1, 1e-5, 0)
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
    # of the format that inputs are rounded to: 2**-3 in float8_e4m3, 2**-5 in int8 with a scale for each row
    input_unit: ClassVar[float] = 0.0
    # inputs are rounded with a scale of the checkpoint, which fits normal numbers alone
    has_input_scale: ClassVar[bool] = False
    size: ClassVar[int] = (
        _SIZE  # inputs and outputs of which 1, 2 and 4 ranks can hold their shares
    )

    @pytest.fixture(autouse=True)
    def _infer(self) -> Iterator[None]:
        """As in an engine, where nothing asks for gradients."""
        with torch.inference_mode():
            yield

    def quantise(self, weight_OI: Tensor) -> Mapping[str, Tensor]:
        """The parameters that a checkpoint stores of a weight, on the host, by the names that the scheme reads.

        Raises a JackfieldError if the format has no such shape.
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

    def _part(
        self,
        in_size: int = _SIZE,
        out_size: int = _SIZE,
        *,
        bias: bool = False,
        split: str = "column",
        copies: int = 1,
    ) -> LinearPart:
        """A linear of a size that the scheme serves: `in_size` and `out_size` are those of a kit of 512."""
        part = LinearPart(
            name="linear",
            in_size=in_size,
            out_size=out_size,
            bias=bias,
            split=split,
            copies=copies,
        )
        return self._grown(part)

    def _fusable(
        self, scheme: QuantizationScheme, parts: Sequence[LinearPart], num_ranks: int
    ) -> list[LinearPart]:
        """The parts as this scheme stores them; skips the test where it does not fuse them."""
        mine = [
            replace(self._grown(part), copies=min(part.copies, num_ranks), settings=self.settings)
            for part in parts
        ]
        if not scheme.can_fuse(mine):
            pytest.skip("can_fuse says no")
        return mine

    def _grown(self, part: LinearPart) -> LinearPart:
        """A part of a kit of 512, as one of this kit."""
        in_size, out_size = (n * self.size // _SIZE for n in (part.in_size, part.out_size))
        return replace(part, in_size=in_size, out_size=out_size)

    def stored(
        self,
        parts: Sequence[LinearPart],
        dtype: str,
        *,
        rescale: Rescale = same_weights,
        seed: int = 0,
    ) -> StoredParts:
        """A checkpoint of such parts, with normal weights unless `rescale` makes others of them."""
        return StoredParts(
            [replace(part, settings=self.settings) for part in parts],
            dtype=dtype,
            device=self.used_device(),
            quantise=self.quantise,
            dequantise=self.dequantise,
            rescale=rescale,
            seed=seed,
        )

    def check(self, found: Tensor, stored: StoredParts, x: Tensor, *ranks: int) -> None:
        """Raises AssertionError if an output is not what the stored weights say."""
        assert found.dtype == x.dtype, f"outputs are {found.dtype}, not {x.dtype}"
        assert found.device == x.device, f"outputs are on {found.device}, not {x.device}"
        name = str(x.dtype).removeprefix("torch.")
        check_linear(found, stored.exact(x, *ranks), name, self.input_unit)

    @pytest.mark.parametrize("dtype_", TOLERANCES)
    def test_a_dtype_is_claimed_or_refused_with_a_reason(self, dtype: str, dtype_: str) -> None:
        """The list of what the scheme can do, each shown by a product; skipped is what it refuses."""
        self.require(self._need(dtype_))
        scheme: QuantizationScheme = self.load()
        stored = self.stored([self._part()], dtype_)
        x_TI = stored.input(3)
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    def test_checkpoints_of_another_method_are_refused(self, dtype: str) -> None:
        """Their parameters mean something else."""
        need = self._need(dtype, method=_NO_METHOD)
        assert self.refusal(need), f"claims to read checkpoints of {need.method}"

    def test_stored_weights_are_close_to_the_dense_ones(self, dtype: str) -> None:
        """That `quantise` and `dequantise` of the kit are each other's inverse, but for rounding."""
        stored = self.stored([self._part()], dtype)
        dense, exact = stored.dense["linear"].double(), stored.exact_weights["linear"]
        assert exact.shape == dense.shape
        loss = float((exact - dense).square().mean().sqrt() / dense.square().mean().sqrt())
        assert loss <= self.max_loss, f"the stored weights differ by {loss:.0%} from the dense ones"

    @pytest.mark.parametrize("size", [(_SIZE, _SIZE), (1536, _SIZE), (_SIZE, 1536)], ids=_sizes)
    def test_each_packed_weight_comes_back(
        self, scheme: QuantizationScheme, dtype: str, size: tuple[int, int]
    ) -> None:
        """Inputs with a single one in them read the weights out, one by one."""
        stored = self.stored([self._part(*size)], dtype)
        x_TI = torch.eye(stored.parts[0].in_size, dtype=stored.dtype, device=stored.device)
        y_TO = stored.create(scheme)(x_TI)
        self.check(y_TO, stored, x_TI)
        if not self.has_input_scale:  # one is the largest of its row, and rounds to itself
            check_linear(y_TO, stored.exact(x_TI), dtype)

    @pytest.mark.parametrize("case", _CASES, ids=_id)
    def test_a_linear_equals_the_product_in_float64(
        self, scheme: QuantizationScheme, case: Choice
    ) -> None:
        """With the dequantised weights; every pair of dtype, size, number of rows, bias and split."""
        self.require(self._need(case["dtype"]))
        part = self._part(*case["size"], bias=case["bias"], split=case["split"])
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
            stored = self.stored([_odd_part(*size, split, bias=True)], dtype)
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
        stored = self.stored([self._part(bias=bias, split=split)], dtype)
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
            stored = self.stored([_odd_part(3 * _SIZE // 2, 36, split)], dtype)
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
        stored = self.stored([self._part(bias=True, copies=copies)], dtype)
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
        stored = self.stored(self._fusable(scheme, parts, num_ranks), dtype)
        x_TI = stored.input(5)
        y_TO = stored.create(scheme, rank, num_ranks)(x_TI)
        self.check(y_TO, stored, x_TI, rank, num_ranks)

    @pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
    def test_a_step_may_have_any_number_of_rows(
        self, scheme: QuantizationScheme, dtype: str, bias: bool
    ) -> None:
        """Of one linear: kernels change with the number of rows."""
        stored = self.stored([self._part(bias=bias)], dtype)
        linear = stored.create(scheme)
        for num_tokens in _STEPS:
            x_TI = stored.input(num_tokens)
            self.check(linear(x_TI), stored, x_TI)

    @pytest.mark.parametrize("large", _LARGE, ids=_sizes)
    def test_linears_may_be_large(
        self, scheme: QuantizationScheme, dtype: str, large: tuple[int, int]
    ) -> None:
        """More inputs and outputs than one tile or grid holds."""
        stored = self.stored([self._part(*large)], dtype)
        x_TI = stored.input(3)
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    @pytest.mark.parametrize("dtype_", TOLERANCES)
    def test_sums_of_one_sign_do_not_drift(self, scheme: QuantizationScheme, dtype_: str) -> None:
        """Thousands of terms: a sum that runs in half precision stands still."""
        self.require(self._need(dtype_))
        stored = self.stored([self._part(4 * _SIZE)], dtype_, rescale=lambda _, w_OI: w_OI.abs())
        x_TI = stored.input(3).abs()
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    @pytest.mark.parametrize(("rank", "num_ranks"), _ONE_OF_EACH)
    @pytest.mark.parametrize("fused", _FUSED.values(), ids=_FUSED)
    def test_weights_of_parts_and_outputs_may_differ_in_size(
        self,
        scheme: QuantizationScheme,
        dtype: str,
        fused: Sequence[LinearPart],
        rank: int,
        num_ranks: int,
    ) -> None:
        """By orders of magnitude, and so do their scales."""
        stored = self.stored(self._fusable(scheme, fused, num_ranks), dtype, rescale=_unlike)
        x_TI = stored.input(5)
        y_TO = stored.create(scheme, rank, num_ranks)(x_TI)
        self.check(y_TO, stored, x_TI, rank, num_ranks)

    def test_rows_of_a_step_may_differ_in_size(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """Zeros among them, as padding is: what one row yields depends on no other."""
        if self.has_input_scale:
            pytest.skip("inputs are rounded with a scale of the checkpoint")
        stored = self.stored([self._part(bias=True)], dtype)
        sizes_T1 = torch.tensor(_ROW_SIZES, device=stored.device).unsqueeze(1)
        x_TI = (stored.input(len(_ROW_SIZES)) * sizes_T1).to(stored.dtype)
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    def test_linears_of_one_shape_have_weights_and_results_of_their_own(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """Their results live side by side, as do those of two calls."""
        stored, other = (self.stored([self._part()], dtype, seed=seed) for seed in (0, 1))
        first, second = stored.create(scheme), other.create(scheme)
        x_TI, later_TI = stored.input(5), stored.input(5)

        y_TO, z_TO, later_TO = first(x_TI), second(x_TI), first(later_TI)

        self.check(y_TO, stored, x_TI)
        self.check(z_TO, other, x_TI)
        self.check(later_TO, stored, later_TI)

    def test_inputs_may_be_views_into_a_wider_tensor(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """Only their last axis is contiguous."""
        stored = self.stored([self._part()], dtype)
        x_TI = stored.input(5)
        wide = torch.cat([x_TI, torch.full_like(x_TI, torch.nan)], 1)
        self.check(stored.create(scheme)(wide[:, : self.size]), stored, x_TI)

    def test_inputs_are_left_as_they_are(self, scheme: QuantizationScheme, dtype: str) -> None:
        """Others read them after this linear."""
        stored = self.stored([self._part(bias=True)], dtype)
        x_TI = stored.input(5)
        before = x_TI.clone()
        stored.create(scheme)(x_TI)
        assert torch.equal(before, x_TI)

    def test_calls_of_other_sizes_in_between_change_nothing(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """The same input gives the same bytes."""
        stored = self.stored([self._part()], dtype)
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
        stored = self.stored([self._part(bias=True, split=split)], dtype)
        linear = stored.create(scheme, 1, 2)
        gc.collect()
        assert isinstance(linear, Linear)
        assert stored.weights.num_alive == 0, "tensors that were read are still held"

    @pytest.mark.parametrize("split", ["column", "row"])
    def test_a_share_takes_its_share_of_memory(
        self, scheme: QuantizationScheme, dtype: str, split: str
    ) -> None:
        """Of the bytes that one rank alone would hold, two ranks hold half each; scales of outputs may be on both."""
        stored = self.stored([self._part(4 * _SIZE, 4 * _SIZE, split=split)], dtype)
        _, whole = made_with_bytes(lambda: stored.create(scheme))
        _, share = made_with_bytes(lambda: stored.create(scheme, 1, 2))
        assert share <= _LARGEST_SHARE * whole, f"rank 1 of 2 holds {share} bytes of {whole}"

    def test_a_checkpoint_without_its_parameters_is_refused(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """With an error of jackfield.errors; there is nothing that could stand for weights."""
        stored = self.stored([self._part()], dtype)
        with pytest.raises(JackfieldError):
            stored.create(scheme, weights=TensorWeights({}))

    def _need(self, dtype: str, device: str = "", method: str = "") -> QuantizationNeed:
        return QuantizationNeed(
            device=device or self.used_device(),
            dtype=dtype,
            method=method or self.method,
            settings={} if method else self.settings,
        )


def _unlike(index: int, weight_OI: Tensor) -> Tensor:
    """Each part ten times as large as the one before, and in each outputs of many sizes."""
    sizes_O = torch.logspace(-3, 1, len(weight_OI), device=weight_OI.device)
    return 0.05 * 12.0**index * sizes_O.unsqueeze(1) * weight_OI


def _odd_part(in_size: int, out_size: int, split: str, *, bias: bool = False) -> LinearPart:
    return LinearPart(name="linear", in_size=in_size, out_size=out_size, bias=bias, split=split)


def _skip_refused(error: JackfieldError) -> None:
    assert str(error), f"{type(error).__name__} says nothing"
    pytest.skip(f"refuses: {error}")
