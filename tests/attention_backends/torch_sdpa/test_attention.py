"""Attention over a paged cache equals attention written out in float64, whatever the step holds."""

from dataclasses import dataclass

import pytest
import torch

from jackfield.cache import CacheGroup, CacheLayout, key_and_value
from jackfield.dtypes import parse_dtype
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    LayerAttention,
    LayerCache,
)
from jackfield_torch_sdpa.backend import TorchSdpaBackend

HEAD_SIZE = 16
NUM_BLOCKS = 200
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}


@dataclass
class Case:
    """Rows as (queries, tokens in all); keys and values in a cache whose unused slots hold NaN."""

    rows: list
    heads: int = 4
    kv_heads: int = 2
    block_size: int = 4
    dtype: torch.dtype = torch.float32
    window: int | None = None
    soft_cap: float | None = None
    shuffled: bool = True
    scale: float = 0.3

    def __post_init__(self):
        generator = torch.Generator().manual_seed(0)
        shape = self.kv_heads, NUM_BLOCKS, self.block_size, HEAD_SIZE
        order = torch.arange(NUM_BLOCKS)
        if self.shuffled:
            order = torch.randperm(NUM_BLOCKS, generator=generator)
        self.storage = torch.full((2, *shape), torch.nan, dtype=self.dtype)
        self.cache = self.storage.permute(0, 2, 3, 1, 4)  # as the interface orders the axes
        self.contents, tables, slots = [], [], []
        flat = self.storage.flatten(2, 3)
        for queries, length in self.rows:
            num_blocks = -(-length // self.block_size)
            table, order = order[:num_blocks], order[num_blocks:]
            positions = torch.arange(length)
            places = table[positions // self.block_size] * self.block_size
            places += positions % self.block_size
            first = 0 if self.window is None else max(0, length - queries - self.window + 1)
            kv = torch.randn(
                2, length, self.kv_heads, HEAD_SIZE, generator=generator, dtype=torch.float64
            ).to(self.dtype)
            flat[:, :, places[first:]] = kv[:, first:].transpose(
                1, 2
            )  # what is behind the window was overwritten
            self.contents.append(kv.double())
            tables.append(table)
            slots.append(places[length - queries :])
        width = max(map(len, tables))
        self.table = torch.stack(
            [torch.nn.functional.pad(t, (0, width - len(t)), value=int(order[0])) for t in tables]
        ).int()
        self.slots = torch.cat(slots)
        self.q = torch.randn(
            len(self.slots), self.heads, HEAD_SIZE, generator=generator, dtype=torch.float64
        ).to(self.dtype)

    @property
    def batch(self):
        counts = [queries for queries, _ in self.rows]
        lengths = [length for _, length in self.rows]
        return AttentionBatch(
            query_lengths=counts,
            lengths=lengths,
            query_starts_R1=torch.tensor([0, *counts]).cumsum(0).int(),
            lengths_R=torch.tensor(lengths).int(),
            block_ids_RB=self.table,
            slots_T=self.slots,
        )

    def attention(self):
        dtype = parse_dtype(str(self.dtype))
        group = CacheGroup(
            index=0,
            kind="full",
            layers=(0,),
            tensors=key_and_value(self.kv_heads, HEAD_SIZE, dtype),
            window=self.window,
        )
        limits = AttentionLimits(
            device=torch.device("cpu"),
            dtype=self.dtype,
            num_heads=self.heads,
            num_kv_heads=self.kv_heads,
            head_size=HEAD_SIZE,
            max_rows=64,
            max_step_tokens=256,
            max_length=512,
            num_blocks=NUM_BLOCKS,
        )
        layout = CacheLayout(order="KHBSD", block_size=self.block_size, dtype=dtype)
        return TorchSdpaBackend().create(group, layout, limits)

    def attend(self):
        attention = self.attention()
        attention.prepare(self.batch)
        layer = LayerAttention(scale=self.scale, window=self.window, soft_cap=self.soft_cap)
        return attention.attend(self.q, LayerCache(*self.cache), layer)

    def expected(self):
        """Query by query and head by head, in float64."""
        outputs, queries = [], iter(self.q.double())
        for (count, length), (keys, values) in zip(self.rows, self.contents, strict=True):
            for position in range(length - count, length):
                first = 0 if self.window is None else max(0, position - self.window + 1)
                seen = slice(first, position + 1)
                for head, q in enumerate(next(queries)):
                    kv_head = head // (self.heads // self.kv_heads)
                    scores = self.scale * keys[seen, kv_head] @ q
                    if self.soft_cap is not None:
                        scores = self.soft_cap * torch.tanh(scores / self.soft_cap)
                    outputs.append(scores.softmax(0) @ values[seen, kv_head])
        return torch.stack(outputs).view(self.q.shape)

    def check(self):
        torch.testing.assert_close(
            self.attend().double(), self.expected(), rtol=0, atol=TOLERANCES[self.dtype]
        )


STEPS = {
    "one prompt": [(13, 13)],
    "one decode": [(1, 30)],
    "a first token": [(1, 1)],
    "a chunk of a prompt": [(5, 18)],
    "decodes of many lengths": [(1, 3), (1, 40), (1, 17), (1, 1), (1, 40)],
    "decodes of one length": [(1, 9)] * 5,
    "prompts": [(7, 7), (12, 12), (1, 1)],
    "all at once": [(1, 30), (6, 6), (1, 4), (3, 21), (1, 90), (16, 16)],
}


@pytest.mark.parametrize("rows", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_a_step_equals_attention_in_float64(rows, dtype):
    Case(rows, dtype=dtype).check()


@pytest.mark.parametrize("rows", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("window", [1, 4, 7, 64])
def test_a_window_hides_what_is_behind_it(rows, window):
    Case(rows, window=window).check()


@pytest.mark.parametrize("rows", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("window", [None, 6])
def test_a_soft_cap_bends_the_scores(rows, window):
    Case(rows, soft_cap=0.7, window=window).check()


@pytest.mark.parametrize("block_size", [1, 3, 16, 64])
@pytest.mark.parametrize("shuffled", [False, True], ids=["blocks in order", "blocks shuffled"])
def test_any_block_size_and_order_gives_the_same(block_size, shuffled):
    Case(STEPS["all at once"], block_size=block_size, shuffled=shuffled).check()


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (4, 4), (4, 1), (6, 2), (9, 3)])
def test_query_heads_share_key_heads(heads, kv_heads):
    Case(STEPS["all at once"], heads=heads, kv_heads=kv_heads).check()


def test_capped_scores_of_a_long_prompt_are_made_slice_by_slice(monkeypatch):
    monkeypatch.setattr("jackfield_torch_sdpa.kernels._MAX_SCORES", 4 * 30 * 4)

    Case([(30, 30)], soft_cap=0.7).check()


def test_a_cache_of_another_dtype_is_read_in_the_dtype_of_the_queries():
    case = Case(STEPS["all at once"], dtype=torch.bfloat16)
    case.q = case.q.double()
    attention = case.attention()
    attention._dtype = torch.float64
    attention.prepare(case.batch)

    output = attention.attend(case.q, LayerCache(*case.cache), LayerAttention(scale=case.scale))

    torch.testing.assert_close(output, case.expected(), rtol=0, atol=1e-12)


def test_queries_may_be_views_into_a_fused_projection():
    case = Case(STEPS["all at once"])
    fused = torch.cat([case.q, torch.full_like(case.q, torch.nan)], dim=1)
    case.q = fused[:, : case.heads]

    case.check()


def test_a_row_with_nan_keys_spoils_no_other_row():
    case = Case([(1, 20), (1, 22), (1, 21)])
    case.cache[:, case.table[1, 0]] = torch.nan

    output = case.attend()

    assert output[1].isnan().any()
    torch.testing.assert_close(output[[0, 2]].double(), case.expected()[[0, 2]], rtol=0, atol=2e-6)


def test_a_later_step_forgets_the_plan_of_the_one_before():
    first, second = Case([(1, 20)]), Case([(1, 25)])
    attention = first.attention()
    layer = LayerAttention(scale=first.scale)
    attention.prepare(first.batch)
    attention.attend(first.q, LayerCache(*first.cache), layer)

    attention.prepare(second.batch)
    output = attention.attend(second.q, LayerCache(*second.cache), layer)

    torch.testing.assert_close(output.double(), second.expected(), rtol=0, atol=2e-6)


def test_layers_of_one_group_may_differ_in_their_window():
    case = Case(STEPS["all at once"])
    attention = case.attention()
    attention.prepare(case.batch)
    cache = LayerCache(*case.cache)

    full = attention.attend(case.q, cache, LayerAttention(scale=case.scale))
    narrow = attention.attend(case.q, cache, LayerAttention(scale=case.scale, window=5))

    torch.testing.assert_close(full.double(), case.expected(), rtol=0, atol=2e-6)
    case.window = 5
    torch.testing.assert_close(narrow.double(), case.expected(), rtol=0, atol=2e-6)
