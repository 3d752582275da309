"""The part of the kit of quantization schemes about calls: steps, rows and inputs of one linear."""

from __future__ import annotations

import pytest
import torch

from jackfield_testing_torch.conformance.linear_kit import SIZE, LinearKit
from jackfield_testing_torch.conformance.tolerances import TOLERANCES
from jackfield_torch.interfaces.quantization import QuantizationScheme

_STEPS = (*range(1, 35), 63, 64, 65, 128, 256, 257, 300)  # rows at which kernels change
_ROW_SIZES = (1, 0, 300, 1e-3, 30, 1, 1e-5, 0)


class LinearCalls(LinearKit):
    """What one call does has nothing to do with others."""

    @pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
    def test_a_step_may_have_any_number_of_rows(
        self, scheme: QuantizationScheme, dtype: str, bias: bool
    ) -> None:
        """Of one linear: kernels change with the number of rows."""
        stored = self.stored([self.part(bias=bias)], dtype)
        linear = stored.create(scheme)
        for num_tokens in _STEPS:
            x_TI = stored.input(num_tokens)
            self.check(linear(x_TI), stored, x_TI)

    @pytest.mark.parametrize("dtype_", TOLERANCES)
    def test_sums_of_one_sign_do_not_drift(self, scheme: QuantizationScheme, dtype_: str) -> None:
        """Thousands of terms: a sum that runs in half precision stands still."""
        self.require(self.need(dtype_))
        stored = self.stored([self.part(4 * SIZE)], dtype_, rescale=lambda _, w_OI: w_OI.abs())
        x_TI = stored.input(3).abs()
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    def test_rows_of_a_step_may_differ_in_size(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """Zeros among them, as padding is: what one row yields depends on no other."""
        if self.has_input_scale:
            pytest.skip("inputs are rounded with a scale of the checkpoint")
        stored = self.stored([self.part(bias=True)], dtype)
        sizes_T1 = torch.tensor(_ROW_SIZES, device=stored.device).unsqueeze(1)
        x_TI = (stored.input(len(_ROW_SIZES)) * sizes_T1).to(stored.dtype)
        self.check(stored.create(scheme)(x_TI), stored, x_TI)

    def test_linears_of_one_shape_have_weights_and_results_of_their_own(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """Their results live side by side, as do those of two calls."""
        stored, other = (self.stored([self.part()], dtype, seed=seed) for seed in (0, 1))
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
        stored = self.stored([self.part()], dtype)
        x_TI = stored.input(5)
        wide = torch.cat([x_TI, torch.full_like(x_TI, torch.nan)], 1)
        self.check(stored.create(scheme)(wide[:, : self.size]), stored, x_TI)

    def test_inputs_are_left_as_they_are(self, scheme: QuantizationScheme, dtype: str) -> None:
        """Others read them after this linear."""
        stored = self.stored([self.part(bias=True)], dtype)
        x_TI = stored.input(5)
        before = x_TI.clone()
        stored.create(scheme)(x_TI)
        assert torch.equal(before, x_TI)

    def test_calls_of_other_sizes_in_between_change_nothing(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """The same input gives the same bytes."""
        stored = self.stored([self.part()], dtype)
        linear, x_TI = stored.create(scheme), stored.input(3)
        first = linear(x_TI).clone()
        for num_tokens in (64, 1, 0):
            linear(stored.input(num_tokens))
        assert torch.equal(first, linear(x_TI))
