"""The index arithmetic of a step: which token, which position, which slot."""

import pytest
import torch

from jackfield.sampling import SamplingParams
from jackfield.step import BlockAppend, BlockReplace, NewRow, StepPlan
from jackfield_torch.rows import Rows
from jackfield_torch.staging import Staging
from jackfield_torch.step_batch import BatchBuilder

BLOCK_SIZE = 4
CPU = torch.device("cpu")


def new_row(row, token_ids, *tables, num_computed=0, num_prompt_tokens=None):
    return NewRow(
        row=row,
        token_ids=token_ids,
        num_prompt_tokens=num_prompt_tokens or len(token_ids),
        num_computed=num_computed,
        block_ids=tables,
        sampling=SamplingParams(),
        seed=0,
    )


def plan(rows, num_tokens, samples, **diffs):
    return StepPlan(step_id=0, rows=rows, num_tokens=num_tokens, samples=samples, **diffs)


@pytest.fixture
def rows():
    return Rows(max_rows=4, max_length=20, block_size=BLOCK_SIZE, num_groups=2, device=CPU)


@pytest.fixture
def build(rows):
    builder = BatchBuilder(rows, Staging(CPU))

    def build(step):
        rows.change_tables(step)
        return builder.build(step)

    return build


def test_tokens_positions_and_slots_follow_the_plan(rows, build):
    rows.enter(new_row(2, [10, 11, 12, 13, 14, 15], [7, 3], [1, 2], num_computed=2))
    rows.enter(new_row(0, [20, 21, 22], [5], [9]))

    batch = build(plan([2, 0], [3, 3], [False, True]))

    assert batch.token_ids_T.tolist() == [12, 13, 14, 20, 21, 22]
    assert batch.positions_T.tolist() == [2, 3, 4, 0, 1, 2]
    assert batch.batches[0].slots_T.tolist() == [30, 31, 12, 20, 21, 22]
    assert batch.batches[1].slots_T.tolist() == [6, 7, 8, 36, 37, 38]
    assert batch.batches[0].query_starts_R1.tolist() == [0, 3, 6]
    assert batch.batches[0].lengths == [5, 3]
    assert batch.batches[0].query_lengths == [3, 3]
    assert batch.batches[0].block_ids_RB[0].tolist() == [7, 3]
    assert (batch.rows_S.tolist(), batch.places_S, batch.last_S.tolist()) == ([0], [1], [5])


def test_a_drawn_token_is_the_input_of_the_next_step(rows, build):
    rows.enter(new_row(1, [10, 11], [0], [0]))
    rows.enter(new_row(3, [30], [1], [1]))
    first = build(plan([1, 3], [2, 1], [True, True]))

    rows.append_tokens(first.rows_S, first.next_S, torch.tensor([55, 66]))
    second = build(plan([3, 1], [1, 1], [True, True]))

    assert second.token_ids_T.tolist() == [66, 55]
    assert second.positions_T.tolist() == [1, 2]
    assert second.last_S is None  # every token samples


def test_a_prompt_in_chunks_is_read_from_where_it_stopped(rows, build):
    rows.enter(new_row(0, list(range(100, 110)), [0, 1, 2], [0, 1, 2]))

    chunks = [build(plan([0], [n], [n == 3])) for n in (4, 3, 3)]

    tokens = [token for chunk in chunks for token in chunk.token_ids_T.tolist()]
    assert tokens == list(range(100, 110))
    assert [chunk.batches[0].lengths for chunk in chunks] == [[4], [7], [10]]


def test_tables_grow_and_change_by_diffs(rows, build):
    rows.enter(new_row(1, list(range(9)), [4], [4]))

    batch = build(
        plan(
            [1],
            [9],
            [True],
            replaced_blocks=[BlockReplace(1, 1, 0, 8)],
            new_blocks=[BlockAppend(1, 0, [6, 2]), BlockAppend(1, 1, [3]), BlockAppend(1, 1, [5])],
        )
    )

    assert [b.block_ids_RB[0].tolist() for b in batch.batches] == [[4, 6, 2], [8, 3, 5]]


def test_a_row_that_enters_again_forgets_its_table(rows, build):
    rows.enter(new_row(0, list(range(9)), [1, 2, 3], [1, 2, 3]))
    rows.enter(new_row(0, [7, 8], [9], [9], num_computed=1))

    batch = build(plan([0], [1], [True], new_blocks=[BlockAppend(0, 0, [5])]))

    assert batch.token_ids_T.tolist() == [8]
    assert batch.batches[0].slots_T.tolist() == [37]


def test_a_row_may_be_as_long_as_the_model(rows, build):
    rows.enter(new_row(0, list(range(20)), list(range(5)), list(range(5))))

    batch = build(plan([0], [20], [True]))
    rows.append_tokens(batch.rows_S, batch.next_S, torch.tensor([99]))

    assert rows.token_ids_RL[0].tolist() == [*range(20), 99]


def test_computing_more_than_a_row_holds_is_a_fault(rows, build):
    rows.enter(new_row(0, [1, 2], [0], [0]))

    with pytest.raises(AssertionError):
        build(plan([0], [3], [True]))
