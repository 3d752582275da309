"""Rows in a paged cache with known content: the inputs of a backend, and the answers that it must give."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield.cache import CHUNKED, FULL, LATENT, WINDOW, CacheGroup, key_and_value
from jackfield.dtypes import parse_dtype
from jackfield_testing.history import first_visible
from jackfield_testing_torch.conformance.attention_cases import STEPS, AttentionCase, Claims
from jackfield_testing_torch.conformance.attention_oracle import plain_attention
from jackfield_testing_torch.conformance.tolerances import ExactSum, check_attention, join
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    GroupAttention,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.paged_cache import GroupCache

NUM_SPARE_BLOCKS = 3  # blocks of no row
_LARGE = 3e4  # float16 can hold it


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The distribution of queries, keys and values: normal numbers by default."""

    size: float = 1.0  # of queries and keys
    mean: float = 0.0  # of keys and values
    is_whole: bool = False  # -1, 0 or 1, so that scores are exact in every dtype and order


@dataclass(slots=True)
class Step:
    """The inputs of one step, and the tokens of rows that it is about."""

    rows: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]  # for each row, the positions of its queries
    batch: AttentionBatch
    q_TNH: Tensor


class HeldStep:
    """Tensors that keep their addresses, as for a recorded step. Each step is copied into them."""

    def __init__(self, step: Step, num_blocks: int) -> None:
        """For steps with as many rows and tokens as `step`, whose rows have at most `num_blocks` blocks."""
        batch = step.batch
        self._q_TNH = torch.empty_like(step.q_TNH)
        self._query_starts_R1 = torch.empty_like(batch.query_starts_R1)
        self._lengths_R = torch.empty_like(batch.lengths_R)
        self._block_ids_RB = batch.block_ids_RB.new_zeros(len(batch.lengths_R), num_blocks)
        self._slots_T = torch.empty_like(batch.slots_T)

    def take(self, step: Step) -> Step:
        """The step, copied into these tensors."""
        batch, width = step.batch, step.batch.block_ids_RB.shape[1]
        self._q_TNH.copy_(step.q_TNH)
        self._query_starts_R1.copy_(batch.query_starts_R1)
        self._lengths_R.copy_(batch.lengths_R)
        self._block_ids_RB[:, :width] = batch.block_ids_RB
        self._slots_T.copy_(batch.slots_T)
        held = AttentionBatch(
            query_lengths=batch.query_lengths,
            lengths=batch.lengths,
            query_starts_R1=self._query_starts_R1,
            lengths_R=self._lengths_R,
            block_ids_RB=self._block_ids_RB,
            slots_T=self._slots_T,
        )
        return Step(step.rows, step.spans, held, self._q_TNH)


class PagedRows:
    """Rows whose keys and values stand in arbitrary blocks. Slots without a useful token are poisoned.

    Tokens before the queries of the first step are in the cache from the start. `run` writes those of a step when the
    runtime does: after `prepare`, before `attend`.
    """

    def __init__(
        self,
        case: AttentionCase,
        claims: Claims,
        *,
        # (queries, tokens in all); default: those of the case.
        rows: Sequence[tuple[int, int]] = (),
        num_layers: int = 1,
        poison: float = torch.nan,
        numbers: Numbers = Numbers(),
        num_unused: int = 0,  # blocks that no table names, placed among the others
        keeps_window: bool = False,  # True: tokens behind the window are still in the cache
    ) -> None:
        self.case, self.rows = case, tuple(rows) or STEPS[case.rows]
        self._numbers = numbers
        self.device = claims.device
        self._claims = claims
        self._random = torch.Generator().manual_seed(len(str(case)))
        self._size = case.block_size
        self._owned = [-(-length // self._size) for _, length in self.rows]
        self.num_blocks = sum(self._owned) + NUM_SPARE_BLOCKS + num_unused
        self.group = self._make_group(num_layers, keeps_window)
        layout = claims.layout(case)
        num_kv_heads = case.heads[1]
        self._cache = GroupCache(self.group, layout, self.num_blocks, num_kv_heads, self.device)
        self._tables = self._make_tables()
        self._poison(self._finite(poison) if claims.card.needs_finite_slots else poison)
        self._contents = [self._make_contents() for _ in self.group.layers]
        sinks = self._draw(case.heads[0], dtype=torch.float32) if case.sinks else None
        self.facts = LayerAttention(
            scale=case.scale,
            window=case.window,
            chunk_size=case.chunk_size,
            soft_cap=case.soft_cap,
            sinks_N=sinks,
            causal=case.causal,
            latent=case.latent,
        )
        self._write_past()

    def views(self, layer: int = 0) -> LayerCache:
        """The cache of a layer, as a backend sees it."""
        store, latent = self._cache.layers[layer], self.case.latent
        return store.views if latent is None else store.latent_views(latent)

    def create(self, **changes: int) -> GroupAttention:
        """The backend's object, with limits that the rows just reach."""
        limits = {
            "max_rows": len(self.rows),
            "max_step_tokens": sum(count for count, _ in self.rows),
            "max_length": max(length for _, length in self.rows),
            **changes,
        }
        heads, kv_heads = self.case.heads
        return self._claims.card.create(
            self.group,
            self._claims.layout(self.case),
            AttentionLimits(
                device=self.device,
                dtype=self._dtypes[0],
                num_heads=heads,
                num_kv_heads=kv_heads,
                head_size=self.case.head_size,
                num_blocks=self.num_blocks,
                **limits,
            ),
        )

    def step(
        self, spans: Sequence[tuple[int, int]] = (), rows: Sequence[int] = (), slack: int = 0
    ) -> Step:
        """The queries of all rows, or of some rows in that order, or those at positions [start, stop) of each row.

        On the host, lengths are larger than the true ones by `slack` tokens.
        """
        rows = tuple(rows) or tuple(range(len(self.rows)))
        spans = tuple(spans) or tuple(
            (length - count, length) for count, length in (self.rows[row] for row in rows)
        )
        counts = [stop - start for start, stop in spans]
        lengths = [stop for _, stop in spans]
        width = max(-(-(length + slack) // self._size) for length in lengths)
        tables = [
            self._shown(row, width, start) for row, (start, _) in zip(rows, spans, strict=True)
        ]
        slots = [
            self._slots(row, torch.arange(*span)) for row, span in zip(rows, spans, strict=True)
        ]
        batch = AttentionBatch(
            query_lengths=counts,
            lengths=[length + slack for length in lengths],
            query_starts_R1=torch.tensor([0, *counts]).cumsum(0).int().to(self.device),
            lengths_R=torch.tensor(lengths).int().to(self.device),
            block_ids_RB=torch.stack(tables).int().to(self.device),
            slots_T=torch.cat(slots).to(self.device),
        )
        q_TNH = self._draw(sum(counts), self.case.heads[0], self.case.head_size)
        return Step(rows, spans, batch, q_TNH * self._numbers.size)

    def run(self, attention: GroupAttention, step: Step) -> Tensor:
        """Run one layer of a step, in the order of the runtime."""
        attention.prepare(step.batch)
        self.write(step)
        return attention.attend(step.q_TNH, self.views(), self.facts)

    def write(self, step: Step, layer: int = 0) -> None:
        """Write a step's keys and values into the cache of a layer."""
        self._write(layer, self.tokens(step, layer), step.batch.slots_T)

    def tokens(self, step: Step, layer: int = 0) -> Tensor:
        """The keys and values of a step, [2, T, K, H]."""
        spans = zip(step.rows, step.spans, strict=True)
        contents = self._contents[layer]
        return torch.cat([contents[row][:, start:stop] for row, (start, stop) in spans], 1)

    def exact(self, step: Step, layer: int = 0, facts: LayerAttention | None = None) -> ExactSum:
        """The answer that the backend must give."""
        sums, start = [], 0
        for row, (first, stop) in zip(step.rows, step.spans, strict=True):
            k_LKH, v_LKH = self._contents[layer][row][:, :stop]
            v_LKH = v_LKH if self.case.latent is None else k_LKH[..., : self.case.latent]
            q_TNH = step.q_TNH[start : start + stop - first]
            sums.append(plain_attention(q_TNH, k_LKH, v_LKH, facts or self.facts))
            start += stop - first
        return join(sums)

    def check(self, found: Tensor, step: Step) -> None:
        """Raise AssertionError if an output differs from the right answer."""
        assert found.dtype == step.q_TNH.dtype, f"outputs are {found.dtype}, not {step.q_TNH.dtype}"
        assert found.device == step.q_TNH.device, f"outputs are on {found.device}"
        check_attention(found, self.exact(step), *self.dtypes_that_count)

    @property
    def dtypes_that_count(self) -> tuple[str, ...]:
        """The dtypes that a backend may round to. Values of a float8 cache are exact in every computing dtype."""
        return tuple(name for name in self.case.dtypes if not name.startswith("float8"))

    @property
    def _dtypes(self) -> tuple[torch.dtype, torch.dtype]:
        compute, stored = (torch_dtype(parse_dtype(name)) for name in self.case.dtypes)
        return compute, stored

    def _make_group(self, num_layers: int, keeps_window: bool) -> CacheGroup:
        window = None if keeps_window else self.case.window
        heads, size, dtype = self.case.heads[1], self.case.head_size, self.case.dtypes[1]
        both = key_and_value(heads, size, parse_dtype(dtype))
        kind = FULL if window is None else WINDOW
        kind = kind if self.case.chunk_size is None else CHUNKED
        return CacheGroup(
            index=0,
            kind=kind if self.case.latent is None else LATENT,
            layers=tuple(range(num_layers)),
            tensors=both if self.case.latent is None else both[:1],
            window=window,
            chunk_size=self.case.chunk_size,
        )

    def _make_tables(self) -> list[Tensor]:
        order = torch.arange(self.num_blocks)
        if self.case.tables != "ascending":
            order = torch.randperm(self.num_blocks, generator=self._random)
        *tables, self._spare = torch.split(
            order, [*self._owned, self.num_blocks - sum(self._owned)]
        )
        self._spare = self._spare[:NUM_SPARE_BLOCKS]
        for table in tables[1:]:
            table[: self._num_shared] = tables[0][: self._num_shared]
        return list(tables)

    @property
    def _num_shared(self) -> int:
        """Number of whole blocks of computed tokens with which all rows begin."""
        if self.case.tables != "shared":
            return 0
        return min(length - count for count, length in self.rows) // self._size

    def _poison(self, poison: float) -> None:
        """Poison all slots that a table names. Unused blocks may be many, and take no memory while they are not written."""
        for block in torch.cat([*self._tables, self._spare]).tolist():
            for store in self._cache.layers.values():
                store.views.key_BSHD[block].fill_(poison)
                store.views.value_BSHD[block].fill_(poison)

    def _finite(self, poison: float) -> float:
        """A finite poison for backends that give the weight 0 to slots that they should not read."""
        most = torch.finfo(self._dtypes[1]).max / 2
        return min(poison if math.isfinite(poison) else _LARGE, most)

    def _make_contents(self) -> list[Tensor]:
        """Keys and values of each row, [2, L, K, H] in float32, with numbers that the cache's dtype can hold."""
        shape, numbers = (self.case.heads[1], self.case.head_size), self._numbers
        sizes = torch.tensor([numbers.size, 1.0], device=self.device).view(2, 1, 1, 1)
        contents = [
            (self._draw(2, length, *shape, dtype=torch.float32) * sizes + numbers.mean)
            .to(self._dtypes[1])
            .float()
            for _, length in self.rows
        ]
        num_shared = self._num_shared * self._size
        for content in contents[1:]:
            content[:, :num_shared] = contents[0][:, :num_shared]
        return contents

    def _write_past(self) -> None:
        for layer in self.group.layers:
            for row, (count, length) in enumerate(self.rows):
                position = torch.arange(self._first_kept(length - count), length - count)
                slots = self._slots(row, position).to(self.device)
                self._write(layer, self._contents[layer][row][:, position], slots)

    def _write(self, layer: int, contents: Tensor, slots_T: Tensor) -> None:
        keys, values = contents
        places = self._cache.places(slots_T)
        is_latent = self.case.latent is not None
        self._cache.layers[layer].write(keys, None if is_latent else values, places)

    def _first_kept(self, first_query: int) -> int:
        return first_visible(self.group, first_query)

    def _shown(self, row: int, width: int, first_query: int) -> Tensor:
        """The row's block table. Unneeded entries name blocks of no row."""
        spare = random.Random(row).choices(self._spare.tolist(), k=width)
        shown = torch.tensor(spare)
        first = self._first_kept(first_query) // self._size
        owned = self._tables[row][first:width]
        shown[first : first + len(owned)] = owned
        return shown

    def _slots(self, row: int, position_T: Tensor) -> Tensor:
        return self._tables[row][position_T // self._size] * self._size + position_T % self._size

    def _draw(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        drawn = torch.randn(shape, generator=self._random)
        if self._numbers.is_whole:
            drawn = drawn.clamp(-1.4, 1.4).round()
        return drawn.to(self.device, dtype or self._dtypes[0])
