"""What a forward pass derives for its layers holds for that pass alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jackfield.cache import LATENT, CacheGroup, CacheLayout, CacheTensor, key_and_value
from jackfield.dtypes import FLOAT8_E4M3, FLOAT32
from jackfield.model_spec import Attention, LatentAttention, Norm, Rope
from jackfield_torch import attention_step
from jackfield_torch.attention_step import BoundAttention, PagedAttention
from jackfield_torch.interfaces.attention import AttentionBatch, GroupAttention
from jackfield_torch.paged_cache import GroupCache

HOST = torch.device("cpu")
GROUP = CacheGroup(index=0, kind="full", layers=(0,), tensors=key_and_value(1, 2, FLOAT32))
MIXER = Attention(num_heads=1, num_kv_heads=1, head_size=2, scale=1.0)
SPEC = SimpleNamespace(layers=[SimpleNamespace(cache_of_layer=None, mixer=MIXER)])


class NoAttention(GroupAttention):
    def prepare(self, batch):
        self.batch = batch

    def attend(self, q_TNH, cache, layer):
        return q_TNH


def test_a_pass_writes_to_the_slots_as_they_are_then():
    """As in a graph: it is recorded behind passes over the same batch, and replayed when the slots have changed."""
    layout = CacheLayout(block_size=4, dtype=FLOAT32)
    cache = GroupCache(GROUP, layout, 2, 1, HOST)
    bound = BoundAttention(NoAttention(), 0, (0,), "uniform", False)
    attention = PagedAttention(SPEC, [cache], [bound], {})
    slots, one = torch.tensor([3]), torch.ones(1, dtype=torch.int32)
    batch = AttentionBatch(
        query_lengths=[1],
        lengths=[1],
        query_starts_R1=torch.tensor([0, 1], dtype=torch.int32),
        lengths_R=one,
        block_ids_RB=one.view(1, 1),
        slots_T=slots,
    )
    attention.begin([batch])
    k = torch.ones(1, 1, 2)
    attention.attend(0, k, k, k)

    slots.fill_(6)
    attention.start_pass()
    attention.attend(0, k, 2 * k, k)

    keys = cache.layers[0].views.key_BSHD
    assert torch.equal(keys[6 // 4, 6 % 4], 2 * k[0])
    assert torch.equal(keys[3 // 4, 3 % 4], k[0])


@pytest.mark.parametrize("converts", [True, False])
def test_torch_writes_a_float8_cache_where_the_chip_does_not_convert(monkeypatch, converts):
    monkeypatch.setattr(attention_step, "converts_float8", lambda device: converts)
    layout = CacheLayout(block_size=4, dtype=FLOAT8_E4M3)
    cache = GroupCache(GROUP, layout, 2, 1, HOST)
    attention = PagedAttention(
        SPEC, [cache], [BoundAttention(NoAttention(), 0, (0,), "any", False)], {}
    )
    one = torch.ones(1, dtype=torch.int32)
    attention.begin(
        [AttentionBatch(
            query_lengths=[1], lengths=[1], query_starts_R1=torch.tensor([0, 1], dtype=torch.int32),
            lengths_R=one, block_ids_RB=one.view(1, 1), slots_T=torch.tensor([3]),
        )]
    )  # fmt: skip

    assert (attention.paged(0) is not None) == converts


def latent_step():
    """Latent attention that absorbs rows of up to 4 queries."""
    mixer = LatentAttention(
        num_heads=1, head_size=4, value_size=4, latent_size=32, scale=1.0,
        rope=Rope(theta=1e4, rotary_size=8), latent_norm=Norm(epsilon=1e-6),
    )  # fmt: skip
    tensors = (CacheTensor(name="latent", shape=(1, 40), dtype=FLOAT32),)
    group = CacheGroup(index=0, kind=LATENT, layers=(0,), tensors=tensors)
    cache = GroupCache(group, CacheLayout(block_size=4, dtype=FLOAT32), 2, 1, HOST)
    spec = SimpleNamespace(layers=[SimpleNamespace(cache_of_layer=None, mixer=mixer)])
    return PagedAttention(spec, [cache], [BoundAttention(NoAttention(), 0, (0,), "any", False)], {})


def test_drafts_over_latent_caches_need_no_exact_lengths_on_the_host():
    attention = latent_step()

    assert not attention.needs_host_lengths([4, 1])
    assert attention.needs_host_lengths([1, 5])  # keys and values are made of all tokens of the row


@pytest.mark.parametrize(
    ("counts", "lengths", "is_worth_it"),
    [
        ([4, 4, 1], [1 << 20] * 3, True),  # absorbed anyway
        ([700], [700], True),
        ([4000], [4000], False),
        ([700, 1], [4000, 9], False),
    ],
)
def test_long_prompts_over_latent_caches_are_not_recorded(counts, lengths, is_worth_it):
    attention = latent_step()

    assert attention.is_worth_recording(np.array(counts), np.array(lengths)) == is_worth_it
