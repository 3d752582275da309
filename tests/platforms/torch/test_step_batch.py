"""The index arithmetic of a step: which token, which position, which slot."""

import pytest
import torch

from jackfield.sampling import SamplingParams
from jackfield.step import BlockAppend, BlockReplace, NewRow, StepPlan
from jackfield_torch.device import Device
from jackfield_torch.inbox import Inbox
from jackfield_torch.interfaces.kernels import NUM_COMPUTED, TOP_K, Kernels
from jackfield_torch.rows import Rows
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


class Host(Device):
    name = "cpu"

    def cache_bytes(self, settings, useful_bytes):
        return useful_bytes


class Steps:
    """Rows of two cache groups, and the batches of plans over them."""

    def __init__(self, row_sizes=()):
        self.rows = Rows(
            max_rows=4,
            max_length=20,
            block_size=BLOCK_SIZE,
            num_groups=2,
            vocab_size=99,
            device=CPU,
        )
        self.rows.set_spare_blocks([50, 60])
        self.kernels = Kernels()
        self.inbox = Inbox(Host(), CPU, self.kernels, self.rows.tensors, step_words=64, depth=1)
        self.builder = BatchBuilder(
            self.rows, self.inbox, self.kernels, max_tokens=32, row_sizes=row_sizes, device=CPU
        )

    def enter(self, new):
        self.rows.enter(new, self.inbox)

    def build(self, step):
        self.rows.change_tables(step, self.inbox)
        return self.builder.build(step)

    def append(self, batch, token_ids):
        self.kernels.append_tokens(self.rows.tensors, batch.rows_P, torch.tensor(token_ids))
        self.rows.num_tokens_R[batch.rows] += 1


@pytest.fixture
def steps():
    return Steps()


def test_tokens_positions_and_slots_follow_the_plan(steps):
    steps.enter(new_row(2, [10, 11, 12, 13, 14, 15], [7, 3], [1, 2], num_computed=2))
    steps.enter(new_row(0, [20, 21, 22], [5], [9]))

    batch = steps.build(plan([2, 0], [3, 3], [False, True]))

    assert batch.token_ids_T.tolist() == [12, 13, 14, 20, 21, 22]
    assert batch.positions_T.tolist() == [2, 3, 4, 0, 1, 2]
    assert batch.batches[0].slots_T.tolist() == [30, 31, 12, 20, 21, 22]
    assert batch.batches[1].slots_T.tolist() == [6, 7, 8, 36, 37, 38]
    assert batch.batches[0].query_starts_R1.tolist() == [0, 3, 6]
    assert batch.batches[0].lengths == [5, 3]
    assert batch.batches[0].query_lengths == [3, 3]
    assert batch.batches[0].block_ids_RB[0].tolist() == [7, 3]
    assert (batch.rows_P.tolist(), batch.places, batch.tokens_P.tolist()) == ([0], [1], [5])


def test_a_drawn_token_is_the_input_of_the_next_step(steps):
    steps.enter(new_row(1, [10, 11], [0], [0]))
    steps.enter(new_row(3, [30], [1], [1]))
    first = steps.build(plan([1, 3], [2, 1], [True, True]))

    steps.append(first, [55, 66])
    second = steps.build(plan([3, 1], [1, 1], [True, True]))

    assert second.token_ids_T.tolist() == [66, 55]
    assert second.positions_T.tolist() == [1, 2]
    assert second.tokens_P is None  # every token samples


def test_a_prompt_in_chunks_is_read_from_where_it_stopped(steps):
    steps.enter(new_row(0, list(range(100, 110)), [0, 1, 2], [0, 1, 2]))

    tokens, lengths = [], []
    for count in (4, 3, 3):
        chunk = steps.build(plan([0], [count], [count == 3]))
        tokens += chunk.token_ids_T.tolist()  # the next step overwrites it
        lengths.append(chunk.batches[0].lengths)

    assert tokens == list(range(100, 110))
    assert lengths == [[4], [7], [10]]


def test_tables_grow_and_change_by_diffs(steps):
    steps.enter(new_row(1, list(range(9)), [4], [4]))

    batch = steps.build(
        plan(
            [1],
            [9],
            [True],
            replaced_blocks=[BlockReplace(1, 1, 0, 8)],
            new_blocks=[BlockAppend(1, 0, [6, 2]), BlockAppend(1, 1, [3]), BlockAppend(1, 1, [5])],
        )
    )

    assert [b.block_ids_RB[0].tolist() for b in batch.batches] == [[4, 6, 2], [8, 3, 5]]


def test_a_row_that_enters_again_forgets_its_table(steps):
    steps.enter(new_row(0, list(range(9)), [1, 2, 3], [1, 2, 3]))
    steps.enter(new_row(0, [7, 8], [9], [9], num_computed=1))

    batch = steps.build(plan([0], [1], [True], new_blocks=[BlockAppend(0, 0, [5])]))

    assert batch.token_ids_T.tolist() == [8]
    assert batch.batches[0].slots_T.tolist() == [37]


def test_a_row_may_be_as_long_as_the_model(steps):
    steps.enter(new_row(0, list(range(20)), list(range(5)), list(range(5))))

    batch = steps.build(plan([0], [20], [True]))
    steps.append(batch, [99])

    assert steps.rows.tensors.token_ids_RL[0].tolist() == [*range(20), 99]


def test_computing_more_than_a_row_holds_is_a_fault(steps):
    steps.enter(new_row(0, [1, 2], [0], [0]))

    with pytest.raises(AssertionError):
        steps.build(plan([0], [3], [True]))


def test_a_decode_step_is_padded_with_a_spare_row_and_a_spare_block():
    steps = Steps(row_sizes=(2, 4))
    for row in (3, 0, 1):
        steps.enter(new_row(row, [10 + row], [row], [row]))

    batch = steps.build(plan([3, 0, 1], [1, 1, 1], [True, True, True]))
    steps.append(batch, [55, 66, 77, 88])

    assert batch.token_ids_T.tolist() == [13, 10, 11, 0]
    assert [view.slots_T.tolist()[3] for view in batch.batches] == [50 * 4, 60 * 4]
    assert batch.batches[1].lengths == batch.batches[1].lengths_R.tolist() == [1, 1, 1, 1]
    assert batch.batches[0].block_ids_RB[3].tolist() == [50] * steps.rows.max_blocks
    assert batch.rows.tolist() == [3, 0, 1]
    assert steps.rows.tensors.records_RC[:, NUM_COMPUTED].tolist() == [1, 1, 0, 1, 0]
    assert steps.rows.tensors.records_RC[4].nonzero().tolist() == [[TOP_K]]  # as before


def test_padded_steps_of_one_size_use_the_same_memory():
    steps = Steps(row_sizes=(4,))
    for row in range(3):
        steps.enter(new_row(row, [10 + row], [row], [row]))

    def addresses(batch):
        views = [
            view for one in batch.batches for view in (one.lengths_R, one.block_ids_RB, one.slots_T)
        ]
        return [tensor.data_ptr() for tensor in (batch.token_ids_T, batch.positions_T, *views)]

    first = steps.build(plan([0, 1], [1, 1], [True, True]))
    steps.append(first, [5, 6, 7, 8])

    assert addresses(first) == addresses(steps.build(plan([2], [1], [True])))


def test_updates_of_any_number_reach_the_rows():
    steps = Steps()
    rows = Rows(max_rows=1, max_length=40_000, block_size=4, num_groups=1, vocab_size=9, device=CPU)
    inbox = Inbox(Host(), CPU, steps.kernels, rows.tensors, step_words=8, depth=1)

    rows.enter(new_row(0, list(range(40_000)), list(range(10_000))), inbox)
    inbox.flush()

    assert rows.tensors.token_ids_RL[0, :-1].tolist() == list(range(40_000))
    assert rows.tensors.block_ids[0][0, :10_000].tolist() == list(range(10_000))
