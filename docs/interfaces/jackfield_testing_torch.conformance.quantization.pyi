# Part of: jackfield_testing_torch 0.1
from collections.abc import Mapping
from collections.abc import Sequence
from functools import cache
from typing import Any
from typing import ClassVar
import pytest
from torch import Tensor
from jackfield_testing.conformance.card import CardKit
from jackfield_testing_torch.conformance.covering import Choice
from jackfield_testing_torch.conformance.linear_parts import Rescale
from jackfield_testing_torch.conformance.linear_parts import StoredParts
from jackfield_testing_torch.conformance.linear_parts import same_weights
from jackfield_testing_torch.conformance.tolerances import TOLERANCES
from jackfield_torch.interfaces.quantization import KIND
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.interfaces.quantization import QuantizationNeed
from jackfield_torch.interfaces.quantization import QuantizationScheme
class QuantizationKit(CardKit):
    kind = KIND
    method: ClassVar[str] = 'none'
    settings: ClassVar[Mapping[str, Any]] = {}
    device: ClassVar[str] = ''
    max_loss: ClassVar[float] = 0.25
    input_unit: ClassVar[float] = 0.0
    has_input_scale: ClassVar[bool] = False
    size: ClassVar[int] = _SIZE

    def quantise(self, weight_OI: Tensor) -> Mapping[str, Tensor]:
        ...

    def dequantise(self, tensors: Mapping[str, Tensor]) -> Tensor:
        ...

    @pytest.fixture
    def scheme(self) -> QuantizationScheme:
        ...

    @pytest.fixture
    def needs(self) -> list[QuantizationNeed]:
        ...

    @pytest.fixture
    def dtype(self) -> str:
        ...

    @classmethod
    @cache
    def used_device(cls) -> str:
        ...

    def stored(self, parts: Sequence[LinearPart], dtype: str, *, rescale: Rescale=same_weights, seed: int=0) -> StoredParts:
        ...

    def check(self, found: Tensor, stored: StoredParts, x: Tensor, *ranks: int) -> None:
        ...

    @pytest.mark.parametrize('dtype_', TOLERANCES)
    def test_a_dtype_is_claimed_or_refused_with_a_reason(self, dtype: str, dtype_: str) -> None:
        ...

    def test_checkpoints_of_another_method_are_refused(self, dtype: str) -> None:
        ...

    def test_stored_weights_are_close_to_the_dense_ones(self, dtype: str) -> None:
        ...

    @pytest.mark.parametrize('size', [(_SIZE, _SIZE), (1536, _SIZE), (_SIZE, 1536)], ids=_sizes)
    def test_each_packed_weight_comes_back(self, scheme: QuantizationScheme, dtype: str, size: tuple[int, int]) -> None:
        ...

    @pytest.mark.parametrize('case', _CASES, ids=_id)
    def test_a_linear_equals_the_product_in_float64(self, scheme: QuantizationScheme, case: Choice) -> None:
        ...

    @pytest.mark.parametrize('split', ['column', 'row'])
    @pytest.mark.parametrize('size', _ODD, ids=_sizes)
    def test_odd_shapes_are_right_or_refused(self, scheme: QuantizationScheme, dtype: str, size: tuple[int, int], split: str) -> None:
        ...

    @pytest.mark.parametrize(('rank', 'num_ranks'), _RANKS)
    @pytest.mark.parametrize('split', ['column', 'row', 'none'])
    @pytest.mark.parametrize('bias', [False, True], ids=['no bias', 'bias'])
    def test_each_rank_holds_its_share(self, scheme: QuantizationScheme, dtype: str, rank: int, num_ranks: int, split: str, bias: bool) -> None:
        ...

    @pytest.mark.parametrize(('rank', 'num_ranks'), _RANKS)
    @pytest.mark.parametrize('split', ['column', 'row'])
    def test_odd_shares_are_right_or_refused(self, scheme: QuantizationScheme, dtype: str, rank: int, num_ranks: int, split: str) -> None:
        ...

    @pytest.mark.parametrize(('rank', 'num_ranks', 'copies'), _COPIED)
    def test_ranks_that_outnumber_heads_hold_copies(self, scheme: QuantizationScheme, dtype: str, rank: int, num_ranks: int, copies: int) -> None:
        ...

    @pytest.mark.parametrize(('rank', 'num_ranks'), [(0, 1), (1, 2), (2, 4)])
    @pytest.mark.parametrize('parts', _FUSED.values(), ids=_FUSED)
    def test_fused_parts_give_what_each_gives_alone(self, scheme: QuantizationScheme, dtype: str, parts: Sequence[LinearPart], rank: int, num_ranks: int) -> None:
        ...

    @pytest.mark.parametrize('bias', [False, True], ids=['no bias', 'bias'])
    def test_a_step_may_have_any_number_of_rows(self, scheme: QuantizationScheme, dtype: str, bias: bool) -> None:
        ...

    @pytest.mark.parametrize('large', _LARGE, ids=_sizes)
    def test_linears_may_be_large(self, scheme: QuantizationScheme, dtype: str, large: tuple[int, int]) -> None:
        ...

    @pytest.mark.parametrize('dtype_', TOLERANCES)
    def test_sums_of_one_sign_do_not_drift(self, scheme: QuantizationScheme, dtype_: str) -> None:
        ...

    @pytest.mark.parametrize(('rank', 'num_ranks'), _ONE_OF_EACH)
    @pytest.mark.parametrize('fused', _FUSED.values(), ids=_FUSED)
    def test_weights_of_parts_and_outputs_may_differ_in_size(self, scheme: QuantizationScheme, dtype: str, fused: Sequence[LinearPart], rank: int, num_ranks: int) -> None:
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

    @pytest.mark.parametrize('split', ['column', 'row'])
    def test_a_share_does_not_keep_the_whole_alive(self, scheme: QuantizationScheme, dtype: str, split: str) -> None:
        ...

    @pytest.mark.parametrize('split', ['column', 'row'])
    def test_a_share_takes_its_share_of_memory(self, scheme: QuantizationScheme, dtype: str, split: str) -> None:
        ...

    def test_a_checkpoint_without_its_parameters_is_refused(self, scheme: QuantizationScheme, dtype: str) -> None:
        ...
