"""Linears of one input become one matrix where that is possible."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.layers.decoder_layer import DecoderLayer
from jackfield_torch.layers.linear import JoinedLinear
from jackfield_torch.layers.linear_builder import build_linear_of
from jackfield_torch.layers.narrow import NarrowLayer
from jackfield_torch.layers.norm import NoNorm
from jackfield_torch.loader import RandomWeights, WeightShard
from jackfield_torch.unquantized import UnquantizedScheme

CPU = torch.device("cpu")
PARTS = [LinearPart(name=name, in_size=8, out_size=4, settings={"bits": 4}) for name in ("q", "k")]


@pytest.mark.parametrize(("bits", "is_joined"), [(4, False), (8, True)])
def test_parts_are_one_matrix_only_where_they_are_stored_alike(bits, is_joined):
    scheme = UnquantizedScheme()
    shard = WeightShard(RandomWeights(0, CPU, std=1.0), 0, 1, CPU, torch.float32)
    parts = [PARTS[0], replace(PARTS[1], settings={"bits": bits})]

    linear = build_linear_of(parts, lambda part: scheme, shard)

    assert isinstance(linear, JoinedLinear) == is_joined


def test_a_layer_of_few_tokens_runs_in_parts_where_torch_writes_the_cache():
    unused = dict.fromkeys(("qkv", "heads", "out", "gate_up", "down"))
    narrow = NarrowLayer(layer=0, head_size=4, most_tokens=8, **unused)
    layer = DecoderLayer(
        mixer_norm=NoNorm(), mixer=lambda x, step: 2 * x, after_mixer=lambda x: x, feed_forward_norm=NoNorm(),
        feed_forward=None, after_feed_forward=lambda x: x, narrow=narrow,
    )  # fmt: skip
    step = SimpleNamespace(attention=SimpleNamespace(paged=lambda layer: None))

    assert torch.equal(layer(torch.ones(1, 4), None, step), 2 * torch.ones(1, 4))
