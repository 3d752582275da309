# Part of: jackfield_testing_torch 0.1
import pytest
from jackfield_testing_torch.conformance.linear_kit import LinearKit
from jackfield_torch.interfaces.quantization import QuantizationScheme
class LinearHeaders(LinearKit):

    def test_headers_of_its_own_checkpoint_are_accepted(self, dtype: str) -> None:
        ...

    def test_a_tensor_that_is_missing_is_refused_by_its_header(self, scheme: QuantizationScheme, dtype: str) -> None:
        ...

    @pytest.mark.parametrize('in_size', ['half', 'twice'])
    def test_headers_of_a_linear_of_another_size_are_refused(self, dtype: str, in_size: str) -> None:
        ...
