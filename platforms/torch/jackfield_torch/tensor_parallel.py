"""The ranks that share every layer, with the two collective operations that a decoder needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from threading import Lock

import torch
import torch.distributed as dist
from torch import Tensor

from jackfield.errors import WorkerError

# Held by the only rank that this process may run, if there are several ranks.
_in_this_process = Lock()


class RankGroup(ABC):
    """The ranks of one model, as seen by one of them. All ranks call the same methods in the same order."""

    rank: int
    num_ranks: int

    @abstractmethod
    def all_reduce(self, x: Tensor) -> Tensor:
        """The sum over all ranks; may be computed in place."""

    @abstractmethod
    def all_gather(self, x: Tensor) -> Tensor:
        """The tensors of all ranks, in order, side by side in the last axis."""

    def close(self) -> None:
        """Leave the group."""


class SingleRank(RankGroup):
    """A model on a single rank."""

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
        """Leave the process group. This process can join it again only under a new rendezvous."""
        if dist.is_initialized():
            dist.destroy_process_group()
        _in_this_process.release()


def join_ranks(
    rank: int, num_ranks: int, rendezvous: str, backend: str, timeout_s: float
) -> RankGroup:
    """The group of `num_ranks`. Waits until all of them have come to `rendezvous` (a URL).

    Raises WorkerError if the executor gave no rendezvous, or runs two ranks in one process.
    """
    if num_ranks == 1:
        return SingleRank()
    if not rendezvous:
        raise WorkerError(
            f"rank {rank} of {num_ranks} was given no rendezvous, so it cannot find the others. The executor must set "
            "WorkerContext.rendezvous to one URL for all ranks, such as tcp://127.0.0.1:PORT"
        )
    if not _in_this_process.acquire(blocking=False):
        raise WorkerError(
            f"rank {rank} of {num_ranks} would run in a process that has a rank already; torch.distributed allows one. "
            'The executor must give each rank a process of its own, as select.executor = "multiprocess" does'
        )
    try:
        dist.init_process_group(
            backend,
            init_method=rendezvous,
            rank=rank,
            world_size=num_ranks,
            timeout=timedelta(seconds=timeout_s),
        )
    except BaseException:
        _in_this_process.release()
        raise
    return DistributedRanks()
