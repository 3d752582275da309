"""The kit of attention backends: attention over a paged cache equals attention written out in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from jackfield.errors import JackfieldError
from jackfield_testing.conformance.card import CardKit
from jackfield_testing_torch.conformance.attention_cases import (
    CORE_AXES,
    LATENT_SHAPES,
    STEPS,
    AttentionCase,
    Claims,
    values,
)
from jackfield_testing_torch.conformance.attention_changes import AttentionChanges
from jackfield_testing_torch.conformance.attention_rows import (
    HeldStep,
    Numbers,
    PagedRows,
    Step,
)
from jackfield_testing_torch.conformance.attention_runs import (
    attend,
    attend_layers,
    run,
    skip_unless_claimed,
)
from jackfield_testing_torch.conformance.attention_sizes import AttentionSizes
from jackfield_testing_torch.conformance.attention_together import AttentionTogether
from jackfield_testing_torch.conformance.devices import choose_device, graphs_of
from jackfield_testing_torch.conformance.tolerances import check_attention, join
from jackfield_torch.interfaces.attention_backend import KIND, AttentionNeed

_SOME_ROWS = ("mixed", "chunks", "decodes", "prompt")
_CAPTURES = ("none", "uniform", "any")
# The queries of each row, in the steps of one graph.
_COUNTS = {
    "uniform": ((1, 1, 1), (1, 1, 1)),
    "any": ((7, 1, 2), (1, 7, 2), (4, 3, 3)),
}
_VALUES = [pytest.param(*value, id="=".join(map(str, value))) for value in values()]


class AttentionKit(AttentionSizes, AttentionChanges, AttentionTogether, CardKit):
    """A third party's test file names the entry point: `name = "mine"`.

    Tests of features that the backend does not claim are skipped with its own reason.
    """

    kind = KIND
    # Named as in torch. "": the first device of this machine that the backend serves.
    device: ClassVar[str] = ""
    # All combinations of this many values are tested; 99 gives the full product.
    strength: ClassVar[int] = 2

    @classmethod
    @cache
    def claimed(cls) -> Claims:
        """What the backend says of the device that the kit runs on."""
        kit = cls()
        return Claims(kit, choose_device(cls.device, lambda d: Claims(kit, d).base() is not None))

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """Make one test for each case that the backend claims.

        Tests that start from the plainest case run in every dtype that it claims.
        """
        names = metafunc.fixturenames
        try:
            if "case" in names:
                metafunc.parametrize("case", cls.claimed().cases(cls.strength), ids=str)
            elif "base" in names and not {"axis", "dtype"}.intersection(names):
                if bases := cls.claimed().bases:
                    metafunc.parametrize("base", bases, ids=lambda base: base.dtype)
        except (JackfieldError, pytest.skip.Exception):
            if "case" in names:
                metafunc.parametrize("case", [])  # tests without a case report the reason

    @pytest.fixture(autouse=True)
    def _infer(self) -> Iterator[None]:
        """Tests run in inference mode, as engines do."""
        with torch.inference_mode():
            yield

    @pytest.fixture
    def claims(self) -> Claims:
        """The claims of the backend."""
        return self.claimed()

    @pytest.fixture
    def needs(self, claims: Claims) -> list[AttentionNeed]:
        """The plainest need, and needs that differ from it in one field."""
        cases = [AttentionCase(**{axis: value}) for axis, value in values()]
        return [case.need(claims.device.type) for case in (AttentionCase(), *cases)]

    @pytest.fixture
    def base(self, claims: Claims) -> AttentionCase:
        """The plainest case that the backend claims."""
        base = claims.base()
        if base is None:
            pytest.fail(f"claims nothing: {claims.refusal(AttentionCase())}")
        return base

    @pytest.mark.parametrize(("axis", "value"), _VALUES)
    def test_a_capability_is_claimed_or_refused_with_a_reason(
        self, claims: Claims, base: AttentionCase, axis: str, value: Any
    ) -> None:
        """Each value of each axis is shown by a step. Skipped tests are those that the backend refuses."""
        attend(claims, replace(base, **{axis: value}))

    def test_attention_equals_plain_attention_in_float64(
        self, claims: Claims, case: AttentionCase
    ) -> None:
        """Every claimed pair of steps, dtypes, block sizes, heads, head sizes, features and block tables occurs."""
        attend(claims, case)

    @pytest.mark.parametrize("rows", STEPS)
    @pytest.mark.parametrize("window", [1, 5, 16, 32, 64])
    def test_a_window_hides_exactly_what_is_behind_it(
        self, claims: Claims, base: AttentionCase, rows: str, window: int
    ) -> None:
        """A query sees the last `window` tokens, including its own. Slots before these may be poisoned."""
        attend(claims, replace(base, rows=rows, window=window))

    @pytest.mark.parametrize("rows", STEPS)
    @pytest.mark.parametrize("chunk_size", [1, 24])
    def test_a_query_sees_the_chunk_that_it_is_in(
        self, claims: Claims, base: AttentionCase, rows: str, chunk_size: int
    ) -> None:
        """A query sees the positions p whose p // `chunk_size` equals its own. Slots before these may be poisoned.

        A chunk may begin anywhere in a block.
        """
        attend(claims, replace(base, rows=rows, chunk_size=chunk_size))

    @pytest.mark.parametrize("rows", STEPS)
    def test_a_soft_cap_bends_the_scores(
        self, claims: Claims, base: AttentionCase, rows: str
    ) -> None:
        """cap tanh(score / cap), after the scale and before the mask."""
        attend(claims, replace(base, rows=rows, soft_cap=0.7))

    @pytest.mark.parametrize("rows", STEPS)
    def test_sinks_take_their_share(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        """A sink is one more score of its head, without a value."""
        attend(claims, replace(base, rows=rows, sinks=True))

    @pytest.mark.parametrize("rows", STEPS)
    def test_without_causality_a_query_sees_all_tokens(
        self, claims: Claims, base: AttentionCase, rows: str
    ) -> None:
        """A query also sees later tokens."""
        attend(claims, replace(base, rows=rows, causal=False))

    @pytest.mark.parametrize("shape", LATENT_SHAPES)
    @pytest.mark.parametrize("rows", STEPS)
    def test_the_value_of_a_latent_cache_is_part_of_its_key(
        self, claims: Claims, base: AttentionCase, rows: str, shape: str
    ) -> None:
        """All query heads read one key head; outputs have the size of values. DeepSeek-AI 2024 (V2), section 2.1."""
        attend(claims, replace(base, rows=rows, **LATENT_SHAPES[shape]))

    @pytest.mark.parametrize("sharpness", [0.25, 1.0, 3.0])
    def test_scores_are_multiplied_with_the_scale_of_the_layer(
        self, claims: Claims, base: AttentionCase, sharpness: float
    ) -> None:
        """The scale need not be the inverse root of the head size."""
        attend(claims, replace(base, sharpness=sharpness))

    @pytest.mark.parametrize("heads", CORE_AXES["heads"], ids=lambda h: f"{h[0]}x{h[1]}")
    def test_query_heads_read_their_kv_head(
        self, claims: Claims, base: AttentionCase, heads: tuple[int, int]
    ) -> None:
        """Query head n reads kv head n // (query heads // kv heads)."""
        attend(claims, replace(base, heads=heads))

    @pytest.mark.parametrize("dtype", CORE_AXES["dtype"])
    def test_long_sums_do_not_drift(self, claims: Claims, base: AttentionCase, dtype: str) -> None:
        """The values of thousands of tokens have one sign. A running sum in half precision would stop growing."""
        case = replace(base, dtype=dtype, sharpness=0.1)
        attend(claims, case, rows=((1, 3000), (4, 2100)), numbers=Numbers(mean=1.0))

    @pytest.mark.parametrize("poison", [torch.nan, torch.inf, 3e4], ids=["nan", "inf", "large"])
    @pytest.mark.parametrize("rows", _SOME_ROWS)
    def test_what_lies_in_unwritten_slots_does_not_matter(
        self, claims: Claims, base: AttentionCase, rows: str, poison: float
    ) -> None:
        """Poison is in slots after the end of a row, in blocks of no row, and in blocks named after those a row needs."""
        if claims.card.needs_finite_slots and not math.isfinite(poison):
            pytest.skip("needs numbers in slots that hold no token")
        attend(claims, replace(base, rows=rows), poison=poison)

    @pytest.mark.parametrize("chunk", [1, 7, 16, 40])
    def test_chunks_of_a_prompt_give_what_the_whole_gives(
        self, claims: Claims, base: AttentionCase, chunk: int
    ) -> None:
        """One object computes step after step, and each step writes its own keys and values."""
        rows = PagedRows(base, claims, rows=((50, 50), (33, 33), (3, 3)))
        attention = rows.create()
        outputs, exact = [], []
        for start in range(0, 50, chunk):
            left = [row for row, (_, length) in enumerate(rows.rows) if start < length]
            spans = [(start, min(start + chunk, rows.rows[row][1])) for row in left]
            step = rows.step(spans, left)
            outputs.append(rows.run(attention, step).clone())
            exact.append(rows.exact(step))
        check_attention(torch.cat(outputs), join(exact), *base.dtypes)

    @pytest.mark.parametrize("rows", ["mixed", "chunks", "decodes"])
    def test_rows_may_come_in_any_order(
        self, claims: Claims, base: AttentionCase, rows: str
    ) -> None:
        """Their order may differ from step to step."""
        paged = PagedRows(replace(base, rows=rows), claims)
        attention = paged.create()
        order = range(len(paged.rows))
        for rotated in (order, order[::-1], [*order[1::2], *order[::2]]):
            step = paged.step(rows=rotated)
            paged.check(paged.run(attention, step), step)

    @pytest.mark.parametrize("rows", ["mixed", "chunks"])
    def test_rows_may_share_blocks(self, claims: Claims, base: AttentionCase, rows: str) -> None:
        """Requests with equal beginnings read the same blocks."""
        shared = ((1, 70), (9, 64), (1, 49), (16, 80)) if rows == "mixed" else ((16, 64), (33, 96))
        attend(claims, replace(base, tables="shared"), rows=shared)

    def test_layers_of_a_step_share_one_preparation(
        self, claims: Claims, base: AttentionCase
    ) -> None:
        """The layers differ in queries, caches and scales."""
        rows = PagedRows(base, claims, num_layers=3)
        attend_layers(rows, *({"scale": rows.facts.scale * (n + 1)} for n in rows.group.layers))

    @pytest.mark.parametrize("windows", [(None, 5, None), (5, 16, 1)], ids=["some", "all"])
    def test_layers_of_a_group_may_differ_in_their_window(
        self, claims: Claims, base: AttentionCase, windows: Sequence[int | None]
    ) -> None:
        """A group that keeps all tokens may have layers with windows."""
        skip_unless_claimed(claims, replace(base, window=5))
        rows = PagedRows(replace(base, window=5), claims, num_layers=3, keeps_window=True)
        attend_layers(rows, *({"window": window} for window in windows))

    def test_a_later_step_forgets_the_one_before(self, claims: Claims, base: AttentionCase) -> None:
        """Prompts come first, then decoding steps of the same rows, of fewer rows, and of all rows again.

        Some rows enter a new block.
        """
        rows = PagedRows(base, claims, rows=((40, 40), (7, 7), (20, 20)))
        attention = rows.create()
        plan: list[tuple[list[tuple[int, int]], list[int]]] = [
            ([(0, 30), (0, 3), (0, 10)], [0, 1, 2]),
            ([(30, 31), (3, 4), (10, 11)], [0, 1, 2]),
            ([(31, 32), (4, 5), (11, 12)], [0, 1, 2]),
            ([(32, 33), (5, 6), (12, 13)], [0, 1, 2]),
            ([(13, 14), (33, 34)], [2, 0]),
            ([(34, 35)], [0]),
            ([(35, 36), (6, 7), (14, 20)], [0, 1, 2]),
        ]
        for spans, order in plan:
            step = rows.step(spans, order)
            rows.check(rows.run(attention, step), step)

    @pytest.mark.parametrize("rows", _SOME_ROWS)
    def test_queries_may_be_views_into_a_wider_tensor(
        self, claims: Claims, base: AttentionCase, rows: str
    ) -> None:
        """A fused projection gives such views: only the last axis is contiguous."""
        paged = PagedRows(replace(base, rows=rows), claims)
        step = paged.step()
        rest = torch.full_like(step.q_TNH, torch.nan)
        step.q_TNH = torch.cat([step.q_TNH, rest], 1)[:, : base.heads[0]]
        run(paged, step)

    @pytest.mark.parametrize("rows", STEPS)
    def test_nothing_that_it_was_given_is_changed(
        self, claims: Claims, base: AttentionCase, rows: str
    ) -> None:
        """Queries, batch and every byte of the cache stay as they were, also in unwritten slots."""
        paged = PagedRows(replace(base, rows=rows), claims)
        attention, step = paged.create(), paged.step()
        paged.write(step)
        given = _given(paged, step)
        before = {name: _bytes(tensor) for name, tensor in given.items()}
        lists = list(step.batch.query_lengths), list(step.batch.lengths)

        attention.prepare(step.batch)
        attention.attend(step.q_TNH, paged.views(), paged.facts)

        for name, tensor in given.items():
            assert torch.equal(before[name], _bytes(tensor)), f"{name} was changed"
        assert (list(step.batch.query_lengths), list(step.batch.lengths)) == lists

    @pytest.mark.parametrize("rows", _SOME_ROWS)
    def test_the_same_step_twice_gives_the_same_bytes(
        self, claims: Claims, base: AttentionCase, rows: str
    ) -> None:
        """Another object gives the same bytes, too."""
        paged = PagedRows(replace(base, rows=rows), claims)
        attention, step = paged.create(), paged.step()
        first = _bytes(paged.run(attention, step))
        assert torch.equal(first, _bytes(paged.run(attention, step)))
        assert torch.equal(first, _bytes(paged.run(paged.create(), step)))

    @pytest.mark.parametrize("block_size", CORE_AXES["block_size"])
    def test_written_values_land_in_their_slots_and_nowhere_else(
        self, claims: Claims, base: AttentionCase, block_size: int
    ) -> None:
        """After a step, the cache has the new values in their slots, and no other change, in each declared layout."""
        case = replace(base, block_size=block_size)
        skip_unless_claimed(claims, case)
        for order in claims.card.layouts.orders:
            rows = PagedRows(case, claims.with_order(order))
            step, cache = rows.step(), rows.views()
            expected = [cache.key_BSHD.clone(), cache.value_BSHD.clone()]
            slots = step.batch.slots_T
            for whole, tokens in zip(expected, rows.tokens(step), strict=True):
                whole[slots // block_size, slots % block_size] = tokens.to(whole.dtype)

            run(rows, step)

            for name, found, wanted in zip(
                ("keys", "values"), (cache.key_BSHD, cache.value_BSHD), expected, strict=True
            ):
                assert torch.equal(_bytes(found), _bytes(wanted)), f"{name} moved in {order}"

    def test_every_declared_layout_can_be_made(self, claims: Claims, base: AttentionCase) -> None:
        """Each order is a permutation of K, B, S, H and D that the runtime can write and the backend reads correctly."""
        for order in claims.card.layouts.orders:
            one = claims.with_order(order)
            refusal = one.refusal(base)
            assert not refusal, f"order {order!r}: {refusal}"
            attend(one, base)

    def test_host_lengths_may_be_upper_bounds(self, claims: Claims, base: AttentionCase) -> None:
        """If the card needs no exact lengths on the host, the lengths on the device count."""
        if claims.card.needs_host_lengths:
            pytest.skip("needs exact lengths on the host")
        rows = PagedRows(base, claims)
        step = rows.step(slack=9)
        attention = rows.create(max_length=9 + max(length for _, length in rows.rows))
        rows.check(rows.run(attention, step), step)

    @pytest.mark.parametrize("level", ["uniform", "any"])
    def test_a_device_graph_records_what_is_claimed(
        self, claims: Claims, base: AttentionCase, level: str
    ) -> None:
        """A graph is recorded in one step and replayed in the next ones, with longer rows in another order.

        At level "any", rows also have other numbers of queries with the same sum.
        """
        claimed, graphs = claims.card.capture, graphs_of(claims.device)
        assert claimed in _CAPTURES, f"capture is {claimed!r}, not one of {', '.join(_CAPTURES)}"
        if _CAPTURES.index(claimed) < _CAPTURES.index(level):
            pytest.skip(f"claims {claimed!r}")
        if graphs is None:
            pytest.skip(f"no graphs on {claims.device}")
        rows = PagedRows(base, claims, rows=((60, 60), (30, 30), (40, 40)))
        attention = rows.create(max_length=64)
        first, *recorded = _recorded_steps(rows, _COUNTS[level])
        rows.run(attention, first)  # warm-up: compiles kernels, allocates buffers
        held = HeldStep(recorded[0], num_blocks=-(-64 // base.block_size))
        step = held.take(recorded[0])
        rows.run(attention, step)
        graph = graphs.CUDAGraph()
        with graphs.graph(graph):
            o_TNH = attention.attend(step.q_TNH, rows.views(), rows.facts)
        for one in recorded:
            step = held.take(one)
            attention.prepare(step.batch)
            rows.write(step)
            graph.replay()
            rows.check(o_TNH, step)

    def test_it_can_be_closed_before_and_after_use(
        self, claims: Claims, base: AttentionCase
    ) -> None:
        """An engine that fails to start closes objects that never ran."""
        rows = PagedRows(base, claims)
        rows.create().close()
        attention = rows.create()
        rows.run(attention, rows.step())
        attention.close()


def _recorded_steps(rows: PagedRows, counts: Sequence[Sequence[int]]) -> Iterator[Step]:
    """Prompts, then steps with `counts` queries for each row, and one more step with rows in the opposite order."""
    stops = [26, 3, 17]
    yield rows.step([(0, stop) for stop in stops])
    for queries in counts:
        spans = [(s, s + count) for s, count in zip(stops, queries, strict=True)]
        stops = [stop for _, stop in spans]
        yield rows.step(spans)
    yield rows.step(
        [(s, s + count) for s, count in zip(stops, counts[0], strict=True)][::-1], (2, 1, 0)
    )


def _given(rows: PagedRows, step: Step) -> dict[str, Tensor]:
    batch, cache = step.batch, rows.views()
    return {
        "q": step.q_TNH,
        "the cached keys": cache.key_BSHD,
        "the cached values": cache.value_BSHD,
        "query_starts": batch.query_starts_R1,
        "lengths": batch.lengths_R,
        "block_ids": batch.block_ids_RB,
        "slots": batch.slots_T,
    }


def _bytes(tensor: Tensor) -> Tensor:
    """A copy as bytes, in which NaN equals NaN."""
    return tensor.contiguous().clone().view(torch.uint8)
