"""The kit of attention backends, with stand-ins for the releases of FlashAttention on the host, and on an accelerator."""

from importlib.util import find_spec

import pytest
import torch
from paged_math import Masks, attend_pages, check_paged
from torch.nn.attention import varlen

from jackfield_testing_torch.conformance.attention import AttentionKit
from jackfield_testing_torch.conformance.attention_cases import FEATURES, AttentionCase, Claims
from jackfield_testing_torch.conformance.attention_runs import attend


def host(name):
    return (f"jackfield_torch.attention_backends.host_fa=host_flash_attn:{name}",)


@pytest.mark.slow
class TestFlashAttn2(AttentionKit):
    name = "host_fa"
    plugins = host("FlashAttn2")
    strength = 1


@pytest.mark.slow
class TestFlashAttn3(AttentionKit):
    name = "host_fa"
    plugins = host("FlashAttn3")
    strength = 1


class TestFlashAttn4(AttentionKit):
    name = "host_fa"
    plugins = host("FlashAttn4")
    strength = 1


@pytest.fixture(autouse=True, scope="module")
def varlen_on_the_host():
    """torch has no such kernel for the host; its Python side is the real one."""

    @varlen._varlen_attn.register_kernel("cpu")
    def attend(
        query,
        key,
        value,
        cu_seq_q,
        cu_seq_k,
        max_q,
        max_k,
        is_causal=False,
        scale=None,
        window_size=None,
        enable_gqa=False,
        seqused_k=None,
        block_table=None,
        num_splits=None,
    ):
        check_paged(query, key, value, cu_seq_q, seqused_k, block_table, max_q)
        assert key.shape[1] % 256 == 0
        assert int(seqused_k.max()) <= max_k
        left, right = window_size
        masks = Masks(left=left, right=0 if is_causal else right)
        output = attend_pages(query, key, value, cu_seq_q, seqused_k, block_table, scale, masks)
        return output, torch.empty(0), torch.empty(0, dtype=torch.uint64)


@pytest.mark.slow
class TestTorchVarlen(AttentionKit):
    name = "host_fa"
    plugins = host("TorchVarlen")
    strength = 1


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("kit", [TestFlashAttn2, TestFlashAttn3, TestTorchVarlen])
def test_each_release_computes_a_mixed_step(kit, feature):
    """What their kits show at length, which takes minutes."""
    claims = Claims(kit(), "cpu")
    case = AttentionCase(dtype="bfloat16", block_size=256, head_size=128, **FEATURES[feature])

    attend(claims, case)


@pytest.mark.gpu
@pytest.mark.skipif(
    not any(map(find_spec, ("flash_attn", "flash_attn_interface"))),
    reason="no release of FlashAttention is installed",
)
class TestFlashAttnOnCuda(AttentionKit):
    name = "flash_attn"
    device = "cuda"
