"""Learned biases of scores by distance (Raffel et al. 2020): a number of each head for each bucket of distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jackfield.model_spec import RelativeBias


def bias_of_distances(bias: RelativeBias, table_BN: Tensor, max_length: int) -> Tensor:
    """bias_ND of the distances from -(max_length - 1) to max_length - 1, of keys after their query."""
    distance_D = torch.arange(1 - max_length, max_length, device=table_BN.device)
    return table_BN[_bucket(bias, distance_D)].T.contiguous()


def _bucket(bias: RelativeBias, distance_D: Tensor) -> Tensor:
    """Keys after the query have the second half of the buckets."""
    half = bias.num_buckets // 2
    exact = half // 2  # distances below it have a bucket of their own
    size_D = distance_D.abs()
    growth = torch.log(size_D.clamp(min=1).float() / exact) / math.log(bias.max_distance / exact)
    far_D = (exact + (growth * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(size_D < exact, size_D, far_D) + half * (distance_D > 0)
