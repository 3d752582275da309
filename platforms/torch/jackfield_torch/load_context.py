"""All that loading one rank's part of a model needs."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from jackfield.config import EngineConfig
from jackfield.model_spec import ModelSpec
from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.interfaces.running_adapters import RunningAdapters
from jackfield_torch.layers.compose import TensorFunction, identity
from jackfield_torch.layers.linear_builder import SchemeOf
from jackfield_torch.loader import ModelWeights, WeightShard
from jackfield_torch.tensor_parallel import RankGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadContext:
    """One rank's part of a model before it is loaded, from any source of weights."""

    spec: ModelSpec
    weights: ModelWeights
    device: torch.device
    dtype: torch.dtype  # dtype of activations
    schemes: SchemeOf
    ranks: RankGroup
    max_length: int  # tokens of the longest row
    kernels: Kernels = field(default_factory=Kernels)  # torch's own operations by default
    whole_experts: bool = False  # True: each rank has some of the experts, not a part of each
    dense: TensorFunction = identity  # linears after pooling
    adapters: RunningAdapters | None = None  # None: nothing adds to linears
    config: EngineConfig | None = None  # holds the options of schemes

    def shard(self) -> WeightShard:
        """This rank's share of the weights."""
        ranks = self.ranks
        return WeightShard(
            self.weights, ranks.rank, ranks.num_ranks, self.device, self.dtype, self.config
        )
