"""What the torch SDPA backend says it can do."""

import dataclasses

from jackfield.features import features_in_use
from jackfield_torch.interfaces.attention_backend import AttentionNeed
from jackfield_torch_sdpa.backend import TorchSdpaBackend

NEED = AttentionNeed(
    device="cpu",
    dtype="bfloat16",
    cache_dtype="bfloat16",
    num_heads=9,
    num_kv_heads=3,
    head_size=64,
    block_size=16,
)


def test_windows_and_soft_caps_are_served():
    need = dataclasses.replace(NEED, window=True, soft_cap=True)

    assert features_in_use(need) <= TorchSdpaBackend.features
    assert TorchSdpaBackend().check(need, {}) == ()


def test_a_cache_of_whole_numbers_is_refused_with_the_way_out():
    assert TorchSdpaBackend().check(dataclasses.replace(NEED, cache_dtype="float8_e4m3"), {}) == ()

    (reason,) = TorchSdpaBackend().check(dataclasses.replace(NEED, cache_dtype="int8"), {})

    assert "int8" in reason.text
    assert "cache.dtype" in reason.remedy
