"""What NumPy computes on the processor is what torch's operations compute on any device."""

import pytest
import torch

from jackfield.step import StepPlan
from jackfield_cpu.device import CpuDevice
from jackfield_cpu.kernels import CpuKernels
from jackfield_torch.inbox import Inbox
from jackfield_torch.interfaces.kernels import (
    FIRST_POSITION,
    NUM_COMPUTED,
    NUM_TOKENS,
    Kernels,
)
from jackfield_torch.rows import Rows
from jackfield_torch.step_batch import BatchBuilder

CPU = torch.device("cpu")
STEPS = {
    "decode": ([3, 0, 2], [1, 1, 1]),
    "padded": ([1, 4], [1, 1]),
    "mixed": ([2, 4, 1], [5, 1, 3]),
}


def run(kernels, rows_R, counts_R):
    """Rows of random words, one step of them, and what both hold then."""
    rows = Rows(
        max_rows=5,
        max_length=30,
        block_size=4,
        num_groups=2,
        vocab_size=99,
        device=CPU,
        unscaled_length=16,
    )
    tensors = rows.tensors
    generator = torch.Generator().manual_seed(1)
    tensors.words_W[:] = torch.randint(0, 40, tensors.words_W.shape, generator=generator).int()
    tensors.records_RC[:, NUM_COMPUTED] = torch.tensor([3, 9, 0, 14, 7, 0]).int()
    tensors.records_RC[:, NUM_TOKENS] = torch.tensor([4, 12, 5, 15, 8, 0]).int()
    tensors.records_RC[5, FIRST_POSITION] = 0
    rows.set_spare_blocks([50, 60])
    rows.num_tokens_R[:] = tensors.records_RC[:, NUM_TOKENS]
    rows.num_computed_R[:] = tensors.records_RC[:, NUM_COMPUTED]
    inbox = Inbox(CpuDevice(1), CPU, kernels, tensors, step_words=64, depth=1)
    builder = BatchBuilder(rows, inbox, kernels, max_tokens=16, row_sizes=(4,), device=CPU)

    inbox.set_run(7, [1, 2, 3])
    batch = builder.build(
        StepPlan(step_id=0, rows=rows_R, num_tokens=counts_R, samples=[True] * len(rows_R))
    )
    kernels.append_tokens(tensors, batch.rows_P, torch.arange(len(batch.rows_P)) - 1)

    found = [batch.token_ids_T, batch.positions_T, tensors.words_W]
    for one in batch.batches:
        found += [one.lengths_R, one.block_ids_RB, one.slots_T]
    return [tensor.clone() for tensor in found]


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_step_is_prepared_and_ended_alike(step):
    for ours, theirs in zip(run(CpuKernels(), *step), run(Kernels(), *step), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
