"""The kit of quantization schemes: linears equal the product with the dequantised weights, however they are cut."""

from __future__ import annotations

import pytest
import torch

from jackfield.errors import JackfieldError
from jackfield_testing_torch.conformance.covering import Choice, covering
from jackfield_testing_torch.conformance.linear_calls import LinearCalls
from jackfield_testing_torch.conformance.linear_headers import LinearHeaders
from jackfield_testing_torch.conformance.linear_kit import (
    NO_METHOD,
    SIZE,
    odd_part,
    sizes,
    skip_refused,
)
from jackfield_testing_torch.conformance.linear_shares import LinearShares
from jackfield_testing_torch.conformance.tensor_weights import TensorWeights
from jackfield_testing_torch.conformance.tolerances import TOLERANCES, check_linear
from jackfield_torch.interfaces.quantization import QuantizationScheme

_ODD = ((37, 1), (1, 37), (100, 60), (513, 511), (512, 3), (520, 24), (130, 514))
_CASES = list(
    covering(
        {
            "dtype": tuple(TOLERANCES),
            "size": ((SIZE, SIZE), (SIZE, 1536), (1536, SIZE), (2 * SIZE, 128)),
            "num_tokens": (1, 0, 2, 17, 130),
            "bias": (False, True),
            "split": ("column", "row", "none"),
        }
    )
)
_LARGE = ((8192, 128), (128, 8192), (14336, 64))


def _id(case: Choice) -> str:
    bias = "-bias" if case["bias"] else ""
    return f"{case['dtype']}-{sizes(case['size'])}-{case['num_tokens']} rows-{case['split']}{bias}"


class QuantizationKit(LinearShares, LinearCalls, LinearHeaders):
    """A third party's test file names the entry point, and how checkpoints of the scheme are made:

    class TestMine(QuantizationKit):
        name = "mine"
        method = "mine"

        def quantise(self, weight_OI): ...
        def dequantise(self, tensors): ...
    """

    @pytest.mark.parametrize("dtype_", TOLERANCES)
    def test_a_dtype_is_claimed_or_refused_with_a_reason(self, dtype: str, dtype_: str) -> None:
        """The list of what the scheme can do, each shown by a product; skipped is what it refuses."""
        self.require(self.need(dtype_))
        scheme: QuantizationScheme = self.load()
        stored = self.stored([self.part()], dtype_)
        x_TI = stored.input(3)
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    def test_checkpoints_of_another_method_are_refused(self, dtype: str) -> None:
        """Their parameters mean something else."""
        need = self.need(dtype, method=NO_METHOD)
        assert self.refusal(need), f"claims to read checkpoints of {need.method}"

    def test_stored_weights_are_close_to_the_dense_ones(self, dtype: str) -> None:
        """That `quantise` and `dequantise` of the kit are each other's inverse, but for rounding."""
        stored = self.stored([self.part()], dtype)
        dense, exact = stored.dense["linear"].double(), stored.exact_weights["linear"]
        assert exact.shape == dense.shape
        loss = float((exact - dense).square().mean().sqrt() / dense.square().mean().sqrt())
        assert loss <= self.max_loss, f"the stored weights differ by {loss:.0%} from the dense ones"

    @pytest.mark.parametrize("size", [(SIZE, SIZE), (1536, SIZE), (SIZE, 1536)], ids=sizes)
    def test_each_packed_weight_comes_back(
        self, scheme: QuantizationScheme, dtype: str, size: tuple[int, int]
    ) -> None:
        """Inputs with a single one in them read the weights out, one by one."""
        stored = self.stored([self.part(*size)], dtype)
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
        self.require(self.need(case["dtype"]))
        part = self.part(*case["size"], bias=case["bias"], split=case["split"])
        stored = self.stored([part], case["dtype"])
        x_TI = stored.input(case["num_tokens"])
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    @pytest.mark.parametrize("split", ["column", "row"])
    @pytest.mark.parametrize("size", _ODD, ids=sizes)
    def test_odd_shapes_are_right_or_refused(
        self, scheme: QuantizationScheme, dtype: str, size: tuple[int, int], split: str
    ) -> None:
        """No multiple of a group, a tile or a word; refused with an error of jackfield.errors."""
        try:
            stored = self.stored([odd_part(*size, split, bias=True)], dtype)
            linear = stored.create(scheme)
        except JackfieldError as error:
            skip_refused(error)
        x_TI = stored.input(3)
        self.check(linear(x_TI), stored, x_TI)

    @pytest.mark.parametrize("large", _LARGE, ids=sizes)
    def test_linears_may_be_large(
        self, scheme: QuantizationScheme, dtype: str, large: tuple[int, int]
    ) -> None:
        """More inputs and outputs than one tile or grid holds."""
        stored = self.stored([self.part(*large)], dtype)
        x_TI = stored.input(3)
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    def test_a_checkpoint_without_its_parameters_is_refused(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """With an error of jackfield.errors; there is nothing that could stand for weights."""
        stored = self.stored([self.part()], dtype)
        with pytest.raises(JackfieldError):
            stored.create(scheme, weights=TensorWeights({}))
