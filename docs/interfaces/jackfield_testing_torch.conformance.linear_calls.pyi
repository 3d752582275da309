# Part of: jackfield_testing_torch 0.1
import pytest
from jackfield_testing_torch.conformance.linear_kit import LinearKit
from jackfield_testing_torch.conformance.tolerances import TOLERANCES
from jackfield_torch.interfaces.quantization import QuantizationScheme
class LinearCalls(LinearKit):

    @pytest.mark.parametrize('bias', [False, True], ids=['no bias', 'bias'])
    def test_a_step_may_have_any_number_of_rows(self, scheme: QuantizationScheme, dtype: str, bias: bool) -> None:
        ...

    @pytest.mark.parametrize('dtype_', TOLERANCES)
    def test_sums_of_one_sign_do_not_drift(self, scheme: QuantizationScheme, dtype_: str) -> None:
        ...

    def test_rows_of_a_step_may_differ_in_size(self, scheme: QuantizationScheme, dtype: str) -> None:
        ...

    def test_linears_of_one_shape_have_weights_and_results_of_their_own(self, scheme: QuantizationScheme, dtype: str) -> None:
        ...

    def test_inputs_may_be_views_into_a_wider_tensor(self, scheme: QuantizationScheme, dtype: str) -> None:
        ...

    def test_inputs_are_left_as_they_are(self, scheme: QuantizationScheme, dtype: str) -> None:
        ...

    def test_calls_of_other_sizes_in_between_change_nothing(self, scheme: QuantizationScheme, dtype: str) -> None:
        ...
