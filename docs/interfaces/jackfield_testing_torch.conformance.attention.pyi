# Part of: jackfield_testing_torch 0.1
from collections.abc import Sequence
from functools import cache
from typing import Any
from typing import ClassVar
import pytest
import torch
from jackfield_testing.conformance.card import CardKit
from jackfield_testing_torch.conformance.attention_cases import CORE_AXES
from jackfield_testing_torch.conformance.attention_cases import LATENT_SHAPES
from jackfield_testing_torch.conformance.attention_cases import STEPS
from jackfield_testing_torch.conformance.attention_cases import AttentionCase
from jackfield_testing_torch.conformance.attention_cases import Claims
from jackfield_testing_torch.conformance.attention_changes import AttentionChanges
from jackfield_testing_torch.conformance.attention_sizes import AttentionSizes
from jackfield_testing_torch.conformance.attention_together import AttentionTogether
from jackfield_torch.interfaces.attention_backend import KIND
from jackfield_torch.interfaces.attention_backend import AttentionNeed
class AttentionKit(AttentionSizes, AttentionChanges, AttentionTogether, CardKit):
    kind = KIND
    device: ClassVar[str] = ''
    strength: ClassVar[int] = 2

    @classmethod
    @cache
    def claimed(cls) -> Claims:
        ...

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        ...

    @pytest.fixture
    def claims(self) -> Claims:
        ...

    @pytest.fixture
    def needs(self, claims: Claims) -> list[AttentionNeed]:
        ...

    @pytest.fixture
    def base(self, claims: Claims) -> AttentionCase:
        ...

    @pytest.mark.parametrize(('axis', 'value'), _VALUES)
    def test_a_capability_is_claimed_or_refused_with_a_reason(self, claims: Claims, base: AttentionCase, axis: str, value: Any) -> None:
        ...

    def test_attention_equals_plain_attention_in_float64(self, claims: Claims, case: AttentionCase) -> None:
        ...

    @pytest.mark.parametrize('rows', STEPS)
    @pytest.mark.parametrize('window', [1, 5, 16, 32, 64])
    def test_a_window_hides_exactly_what_is_behind_it(self, claims: Claims, base: AttentionCase, rows: str, window: int) -> None:
        ...

    @pytest.mark.parametrize('rows', STEPS)
    @pytest.mark.parametrize('chunk_size', [1, 24])
    def test_a_query_sees_the_chunk_that_it_is_in(self, claims: Claims, base: AttentionCase, rows: str, chunk_size: int) -> None:
        ...

    @pytest.mark.parametrize('rows', STEPS)
    def test_a_soft_cap_bends_the_scores(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        ...

    @pytest.mark.parametrize('rows', STEPS)
    def test_sinks_take_their_share(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        ...

    @pytest.mark.parametrize('rows', STEPS)
    def test_without_causality_a_query_sees_all_tokens(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        ...

    @pytest.mark.parametrize('shape', LATENT_SHAPES)
    @pytest.mark.parametrize('rows', STEPS)
    def test_the_value_of_a_latent_cache_is_part_of_its_key(self, claims: Claims, base: AttentionCase, rows: str, shape: str) -> None:
        ...

    @pytest.mark.parametrize('sharpness', [0.25, 1.0, 3.0])
    def test_scores_are_multiplied_with_the_scale_of_the_layer(self, claims: Claims, base: AttentionCase, sharpness: float) -> None:
        ...

    @pytest.mark.parametrize('heads', CORE_AXES['heads'], ids=lambda h: f'{h[0]}x{h[1]}')
    def test_query_heads_read_their_kv_head(self, claims: Claims, base: AttentionCase, heads: tuple[int, int]) -> None:
        ...

    @pytest.mark.parametrize('dtype', CORE_AXES['dtype'])
    def test_long_sums_do_not_drift(self, claims: Claims, base: AttentionCase, dtype: str) -> None:
        ...

    @pytest.mark.parametrize('poison', [torch.nan, torch.inf, 30000.0], ids=['nan', 'inf', 'large'])
    @pytest.mark.parametrize('rows', _SOME_ROWS)
    def test_what_lies_in_unwritten_slots_does_not_matter(self, claims: Claims, base: AttentionCase, rows: str, poison: float) -> None:
        ...

    @pytest.mark.parametrize('chunk', [1, 7, 16, 40])
    def test_chunks_of_a_prompt_give_what_the_whole_gives(self, claims: Claims, base: AttentionCase, chunk: int) -> None:
        ...

    @pytest.mark.parametrize('rows', ['mixed', 'chunks', 'decodes'])
    def test_rows_may_come_in_any_order(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        ...

    @pytest.mark.parametrize('rows', ['mixed', 'chunks'])
    def test_rows_may_share_blocks(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        ...

    def test_layers_of_a_step_share_one_preparation(self, claims: Claims, base: AttentionCase) -> None:
        ...

    @pytest.mark.parametrize('windows', [(None, 5, None), (5, 16, 1)], ids=['some', 'all'])
    def test_layers_of_a_group_may_differ_in_their_window(self, claims: Claims, base: AttentionCase, windows: Sequence[int | None]) -> None:
        ...

    def test_a_later_step_forgets_the_one_before(self, claims: Claims, base: AttentionCase) -> None:
        ...

    @pytest.mark.parametrize('rows', _SOME_ROWS)
    def test_queries_may_be_views_into_a_wider_tensor(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        ...

    @pytest.mark.parametrize('rows', STEPS)
    def test_nothing_that_it_was_given_is_changed(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        ...

    @pytest.mark.parametrize('rows', _SOME_ROWS)
    def test_the_same_step_twice_gives_the_same_bytes(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        ...

    @pytest.mark.parametrize('block_size', CORE_AXES['block_size'])
    def test_written_values_land_in_their_slots_and_nowhere_else(self, claims: Claims, base: AttentionCase, block_size: int) -> None:
        ...

    def test_every_declared_layout_can_be_made(self, claims: Claims, base: AttentionCase) -> None:
        ...

    def test_host_lengths_may_be_upper_bounds(self, claims: Claims, base: AttentionCase) -> None:
        ...

    @pytest.mark.parametrize('level', ['uniform', 'any'])
    def test_a_device_graph_records_what_is_claimed(self, claims: Claims, base: AttentionCase, level: str) -> None:
        ...

    def test_it_can_be_closed_before_and_after_use(self, claims: Claims, base: AttentionCase) -> None:
        ...
