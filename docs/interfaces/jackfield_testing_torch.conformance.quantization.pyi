# Part of: jackfield_testing_torch 0.1
import pytest
from jackfield_testing_torch.conformance.covering import Choice
from jackfield_testing_torch.conformance.linear_calls import LinearCalls
from jackfield_testing_torch.conformance.linear_headers import LinearHeaders
from jackfield_testing_torch.conformance.linear_kit import SIZE
from jackfield_testing_torch.conformance.linear_kit import sizes
from jackfield_testing_torch.conformance.linear_shares import LinearShares
from jackfield_testing_torch.conformance.tolerances import TOLERANCES
from jackfield_torch.interfaces.quantization import QuantizationScheme
class QuantizationKit(LinearShares, LinearCalls, LinearHeaders):

    @pytest.mark.parametrize('dtype_', TOLERANCES)
    def test_a_dtype_is_claimed_or_refused_with_a_reason(self, dtype: str, dtype_: str) -> None:
        ...

    def test_checkpoints_of_another_method_are_refused(self, dtype: str) -> None:
        ...

    def test_stored_weights_are_close_to_the_dense_ones(self, dtype: str) -> None:
        ...

    @pytest.mark.parametrize('size', [(SIZE, SIZE), (1536, SIZE), (SIZE, 1536)], ids=sizes)
    def test_each_packed_weight_comes_back(self, scheme: QuantizationScheme, dtype: str, size: tuple[int, int]) -> None:
        ...

    @pytest.mark.parametrize('case', _CASES, ids=_id)
    def test_a_linear_equals_the_product_in_float64(self, scheme: QuantizationScheme, case: Choice) -> None:
        ...

    @pytest.mark.parametrize('split', ['column', 'row'])
    @pytest.mark.parametrize('size', _ODD, ids=sizes)
    def test_odd_shapes_are_right_or_refused(self, scheme: QuantizationScheme, dtype: str, size: tuple[int, int], split: str) -> None:
        ...

    @pytest.mark.parametrize('large', _LARGE, ids=sizes)
    def test_linears_may_be_large(self, scheme: QuantizationScheme, dtype: str, large: tuple[int, int]) -> None:
        ...

    def test_a_checkpoint_without_its_parameters_is_refused(self, scheme: QuantizationScheme, dtype: str) -> None:
        ...
