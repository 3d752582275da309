"""Distances fall into the buckets that Transformers puts them into."""

import torch
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

from jackfield.model_spec import RelativeBias
from jackfield_torch.layers.relative_bias import bias_of_distances


def test_every_distance_has_its_bucket():
    table_BN = torch.arange(32).unsqueeze(1).float()  # the bias of a bucket is its number

    (found_D,) = bias_of_distances(RelativeBias(num_buckets=32, max_distance=128), table_BN, 300)

    expected_D = MPNetEncoder.relative_position_bucket(torch.arange(-299, 300))
    assert found_D.tolist() == expected_D.tolist()
