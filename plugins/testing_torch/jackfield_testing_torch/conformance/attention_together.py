"""The part of the kit of attention backends about encoders: tokens of a row see each other, and nothing is cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
import torch

from jackfield.cache import NONE, CacheGroup, CacheLayout, key_and_value
from jackfield.dtypes import parse_dtype
from jackfield_testing.conformance.card import CardKit
from jackfield_testing_torch.conformance.attention_cases import AttentionCase, Claims
from jackfield_testing_torch.conformance.attention_oracle import plain_attention
from jackfield_testing_torch.conformance.tolerances import check_attention, join
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    GroupAttention,
    LayerAttention,
)

# The tokens of each row of a step.
_ROWS: Mapping[str, Sequence[int]] = {
    "equal": (16, 16, 16),
    "alike": (5, 9, 1, 8, 3),
    "far_apart": (300, 2, 150, 1, 299),
    "one": (37,),
}
_LAYERS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "window": {"window": 5},
    "soft_cap": {"soft_cap": 0.7},
    "relative_bias": {},
}
_SHAPES = ((6, 2, 64), (4, 4, 32), (1, 1, 80), (12, 12, 16))  # heads, key-value heads, head size


class Together:
    """Steps of an encoder's rows, and the answers that a backend must give."""

    def __init__(
        self, claims: Claims, case: AttentionCase, limits: Sequence[int], *, has_bias: bool = False
    ) -> None:
        """`limits`: the length of the longest row, and the number of tokens of the largest step."""
        need = replace(case.need(claims.device.type), cacheless=True, relative_bias=has_bias)
        if refusal := claims.refusal_of(need):
            pytest.skip(refusal)
        self._case, self._device = case, claims.device
        self._dtype = torch_dtype(parse_dtype(case.dtype))
        self._random = torch.Generator().manual_seed(7)
        self.facts = LayerAttention(
            scale=case.scale, window=case.window, soft_cap=case.soft_cap, causal=False
        )
        heads, kv_heads = case.heads
        if has_bias:
            bias_ND = torch.randn((heads, 2 * limits[0] - 1), generator=self._random)
            # Every dtype holds these numbers exactly, so rounding them explains no difference.
            bias_ND = bias_ND.bfloat16().float().to(self._device)
            self.facts = replace(self.facts, distance_bias_ND=bias_ND)
        stored = parse_dtype(case.dtype)
        group = CacheGroup(
            index=0,
            kind=NONE,
            layers=(0,),
            tensors=key_and_value(kv_heads, case.head_size, stored),
        )
        self.attention: GroupAttention = claims.card.create(
            group,
            CacheLayout(block_size=case.block_size, dtype=stored),
            AttentionLimits(
                device=self._device,
                dtype=self._dtype,
                num_heads=heads,
                num_kv_heads=kv_heads,
                head_size=case.head_size,
                max_rows=8,
                max_step_tokens=limits[1],
                max_length=limits[0],
                num_blocks=1,
            ),
        )

    def prepare(self, lengths: Sequence[int]) -> None:
        """Give the backend a step that computes whole rows of these lengths."""
        starts = [*accumulate(lengths, initial=0)]
        self._lengths = list(lengths)
        counts = torch.tensor(lengths).int().to(self._device)
        self.attention.prepare(
            AttentionBatch(
                query_lengths=list(lengths),
                lengths=list(lengths),
                query_starts_R1=torch.tensor(starts).int().to(self._device),
                lengths_R=counts,
                block_ids_RB=counts.new_zeros(len(lengths), 1),
                slots_T=torch.zeros(starts[-1], dtype=torch.int64, device=self._device),
            )
        )

    def check(self, **changes: Any) -> None:
        """Compute one layer with new queries, keys and values. Raises AssertionError if the outputs are wrong."""
        heads, kv_heads = self._case.heads
        total, facts = sum(self._lengths), replace(self.facts, **changes)
        # Views like those of a fused projection: only the last axis is contiguous.
        qkv = torch.randn(
            (total, heads + 2 * kv_heads, self._case.head_size), generator=self._random
        )
        qkv = qkv.to(self._device, self._dtype)
        parts = torch.split(qkv, [heads, kv_heads, kv_heads], 1)
        q_TNH, k_TKH, v_TKH = parts
        found = self.attention.attend_together(q_TNH, k_TKH, v_TKH, facts)
        rows = zip(*(torch.split(part, self._lengths) for part in parts), strict=True)
        exact = join([plain_attention(q, k, v, facts) for q, k, v in rows])
        assert found.dtype == self._dtype, f"outputs are {found.dtype}, not {self._dtype}"
        check_attention(found, exact, self._case.dtype)


class AttentionTogether(CardKit):
    """Tests for cards that declare `attention.cacheless`."""

    @pytest.mark.parametrize("layer", _LAYERS)
    @pytest.mark.parametrize("rows", _ROWS)
    def test_tokens_of_a_row_see_each_other_without_a_cache(
        self, claims: Claims, base: AttentionCase, rows: str, layer: str
    ) -> None:
        """Without a window, a token sees all tokens of its row; with one, those that are less than a window away."""
        lengths = _ROWS[rows]
        together = Together(
            claims,
            replace(base, **_LAYERS[layer]),
            (max(lengths), sum(lengths)),
            has_bias=layer == "relative_bias",
        )
        together.prepare(lengths)
        together.check()

    @pytest.mark.parametrize("shape", _SHAPES, ids=lambda s: "x".join(map(str, s)))
    def test_encoders_have_heads_of_any_number_and_size(
        self, claims: Claims, base: AttentionCase, shape: tuple[int, int, int]
    ) -> None:
        """Query head n reads key-value head n // (query heads // key-value heads)."""
        heads, kv_heads, size = shape
        together = Together(
            claims, replace(base, heads=(heads, kv_heads), head_size=size), (20, 32)
        )
        together.prepare((20, 12))
        together.check()

    def test_steps_and_layers_without_a_cache_are_their_own(
        self, claims: Claims, base: AttentionCase
    ) -> None:
        """A plan for other rows, or for a layer with a smaller window, must not be used again."""
        together = Together(claims, replace(base, window=4), (33, 64))
        for lengths in ((9, 33), (33, 9), (7,), (12, 12, 1)):
            together.prepare(lengths)
            for window in (4, None, 9):
                together.check(window=window)
