# Part of: jackfield_testing_torch 0.1
from collections.abc import Sequence
import pytest
from jackfield_testing_torch.conformance.linear_kit import FUSED
from jackfield_testing_torch.conformance.linear_kit import LinearKit
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.interfaces.quantization import QuantizationScheme
class LinearShares(LinearKit):

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
    @pytest.mark.parametrize('parts', FUSED.values(), ids=FUSED)
    def test_fused_parts_give_what_each_gives_alone(self, scheme: QuantizationScheme, dtype: str, parts: Sequence[LinearPart], rank: int, num_ranks: int) -> None:
        ...

    @pytest.mark.parametrize(('rank', 'num_ranks'), _ONE_OF_EACH)
    @pytest.mark.parametrize('fused', FUSED.values(), ids=FUSED)
    def test_weights_of_parts_and_outputs_may_differ_in_size(self, scheme: QuantizationScheme, dtype: str, fused: Sequence[LinearPart], rank: int, num_ranks: int) -> None:
        ...

    @pytest.mark.parametrize('split', ['column', 'row'])
    def test_a_share_does_not_keep_the_whole_alive(self, scheme: QuantizationScheme, dtype: str, split: str) -> None:
        ...

    @pytest.mark.parametrize('split', ['column', 'row'])
    def test_a_share_takes_its_share_of_memory(self, scheme: QuantizationScheme, dtype: str, split: str) -> None:
        ...
