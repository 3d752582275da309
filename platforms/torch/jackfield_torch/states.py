"""States of recurrent layers: slots of a cache group, and which of them a step reads and writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from jackfield.cache import CacheGroup
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.attention import AttentionBatch


class StateCache:
    """All layers of one recurrent group, with a tensor of slots for each state tensor of a layer."""

    def __init__(
        self, group: CacheGroup, num_blocks: int, num_ranks: int, device: torch.device
    ) -> None:
        self.layers = {
            layer: tuple(
                torch.empty(
                    num_blocks,
                    *tensor.shape_of_shard(num_ranks),
                    dtype=torch_dtype(tensor.dtype),
                    device=device,
                )
                for tensor in group.tensors
            )
            for layer in group.layers
        }

    def copy_block(self, source: int, target: int) -> None:
        """Copy a whole block."""
        for tensors in self.layers.values():
            for tensor in tensors:
                tensor[target] = tensor[source]


@dataclass(frozen=True, slots=True)
class StatePart:
    """Neighbouring rows of a step that compute equal numbers of tokens."""

    rows: slice
    tokens: slice
    num_rows: int


@dataclass(frozen=True, slots=True)
class StepStates:
    """The blocks that the rows of a step read and write."""

    parts: Sequence[StatePart]  # the rows of the step, in order
    read_R: Tensor  # int64
    write_R: Tensor  # int64
    starts_anew_R: Tensor  # bool; True: what the row reads does not count


def step_states(batch: AttentionBatch, block_size: int) -> StepStates:
    """A row reads the entry of the token before its first token, and writes the entry of its last token."""
    ends_R = batch.lengths_R.long()
    starts_R = ends_R - batch.query_starts_R1.diff()
    ids_RB = batch.block_ids_RB
    read_R1 = ((starts_R - 1).clamp(min=0) // block_size).unsqueeze(1)
    write_R1 = ((ends_R - 1) // block_size).unsqueeze(1)
    return StepStates(
        tuple(_parts(batch.query_lengths)),
        ids_RB.gather(1, read_R1).squeeze(1).long(),
        ids_RB.gather(1, write_R1).squeeze(1).long(),
        starts_R == 0,
    )


class LayerStates:
    """The states of one layer in one step."""

    def __init__(self, tensors: tuple[Tensor, ...], step: StepStates) -> None:
        self._tensors, self._step = tensors, step

    @property
    def parts(self) -> Sequence[StatePart]:
        """The rows of the step, in order."""
        return self._step.parts

    def read(self, part: StatePart) -> list[Tensor]:
        """The states of a part's rows before the step; zeros for rows that start."""
        blocks, starts_anew = self._step.read_R[part.rows], self._step.starts_anew_R[part.rows]
        found = []
        for tensor in self._tensors:
            kept = tensor.index_select(0, blocks)
            found.append(kept.masked_fill_(starts_anew.view(-1, *[1] * (kept.dim() - 1)), 0.0))
        return found

    def write(self, part: StatePart, *kept: Tensor) -> None:
        """Store the states of a part's rows after the step."""
        blocks = self._step.write_R[part.rows]
        for tensor, new in zip(self._tensors, kept, strict=True):
            tensor.index_copy_(0, blocks, new)


def _parts(counts: Sequence[int]) -> Iterator[StatePart]:
    row = token = 0
    for count, group in groupby(counts):
        num_rows = len(list(group))
        num_tokens = num_rows * count
        yield StatePart(slice(row, row + num_rows), slice(token, token + num_tokens), num_rows)
        row, token = row + num_rows, token + num_tokens
