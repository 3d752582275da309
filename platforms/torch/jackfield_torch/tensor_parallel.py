"""What ranks that share every layer do together, behind the two collectives that a decoder needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor


class RankGroup(ABC):
    """The ranks of one model, as one of them sees them. All call the same methods in the same order."""

    rank: int
    num_ranks: int

    @abstractmethod
    def all_reduce(self, x: Tensor) -> Tensor:
        """The sum over all ranks; may be computed in place."""

    @abstractmethod
    def all_gather(self, x: Tensor) -> Tensor:
        """The tensors of all ranks, in their order, side by side in the last axis."""

    def close(self) -> None:
        """Leave the group."""


class SingleRank(RankGroup):
    """A model that one rank holds alone."""

    rank, num_ranks = 0, 1

    def all_reduce(self, x: Tensor) -> Tensor:
        return x

    def all_gather(self, x: Tensor) -> Tensor:
        return x


class DistributedRanks(RankGroup):
    """Ranks joined by torch.distributed: gloo on the CPU, NCCL on CUDA."""

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.num_ranks = dist.get_world_size()

    def all_reduce(self, x: Tensor) -> Tensor:
        dist.all_reduce(x)
        return x

    def all_gather(self, x: Tensor) -> Tensor:
        shares = [torch.empty_like(x) for _ in range(self.num_ranks)]
        dist.all_gather(shares, x.contiguous())
        return torch.cat(shares, -1)

    def close(self) -> None:
        """Leave the process group, which this process can join again only under a new rendezvous."""
        if dist.is_initialized():
            dist.destroy_process_group()


def join_ranks(
    rank: int, num_ranks: int, rendezvous: str, backend: str, timeout_s: float
) -> RankGroup:
    """The group of `num_ranks`; waits until all of them have come to `rendezvous` (a URL)."""
    if num_ranks == 1:
        return SingleRank()
    dist.init_process_group(
        backend,
        init_method=rendezvous,
        rank=rank,
        world_size=num_ranks,
        timeout=timedelta(seconds=timeout_s),
    )
    return DistributedRanks()
