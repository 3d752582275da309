"""What a torch platform asks to be selected, and which models and settings it refuses."""

import dataclasses

import pytest

from jackfield.config import CacheSettings, EngineConfig, ExecutorSettings, ModelSettings
from jackfield.features import features_in_use
from jackfield.interfaces.platform import PlatformNeed
from jackfield_cpu.platform import CpuPlatform
from jackfield_testing.models import tiny_spec

KIND = "jackfield_torch.attention_backends"


def make_config(**executor):
    return EngineConfig(
        model=ModelSettings(dtype="bfloat16"),
        cache=CacheSettings(dtype="float32"),
        executor=ExecutorSettings(**executor),
    )


def test_each_cache_group_gets_an_attention_backend():
    spec = tiny_spec(4, windows=(None, 8))

    quantization, full, window = CpuPlatform().choices(spec, make_config(), {})

    assert (quantization.setting, quantization.need.dtype) == ("quantization", "bfloat16")
    assert [full.subject, window.subject] == ["layers 0, 2", "layers 1, 3"]
    assert (full.kind, full.setting) == (KIND, "attention")
    assert (full.need.window, window.need.window) == (False, True)
    assert (full.need.dtype, full.need.cache_dtype) == ("bfloat16", "float32")
    assert window.match["window"] is True


def test_a_choice_says_for_which_modules_it_is():
    quantization, full, window = CpuPlatform().choices(
        tiny_spec(4, windows=(None, 8)), make_config(), {}
    )

    assert full.covers == ("layers.0", "layers.2")
    assert window.covers == ("layers.1", "layers.3")
    assert {"layers.0.mixer.q", "head"} <= {*quantization.covers}


def test_the_need_counts_the_heads_of_one_rank():
    _, attention = CpuPlatform().choices(tiny_spec(), make_config(tensor_parallel=2), {})

    assert (attention.need.num_heads, attention.need.num_kv_heads) == (1, 1)


def test_every_feature_of_a_plain_model_is_served():
    need = PlatformNeed(model=tiny_spec(windows=(None, 8)), dtype="float32", num_ranks=2)

    assert features_in_use(need) <= CpuPlatform.features
    assert CpuPlatform().check(need, {}) == ()


def with_mixers(**changes):
    spec = tiny_spec()
    mixer = dataclasses.replace(spec.layers[0].mixer, **changes)
    layers = tuple(dataclasses.replace(layer, mixer=mixer) for layer in spec.layers)
    return dataclasses.replace(spec, layers=layers)


def test_mixers_that_look_ahead_ask_for_a_backend_that_needs_no_cache():
    _, attention = CpuPlatform().choices(with_mixers(causal=False), make_config(), {})

    assert features_in_use(attention.need) == {"attention.cacheless"}


def test_sinks_are_asked_of_the_attention_backend():
    _, attention = CpuPlatform().choices(with_mixers(sinks=True), make_config(), {})

    assert features_in_use(attention.need) == {"attention.sinks"}


@pytest.mark.parametrize(
    ("need", "remedy"),
    [
        (PlatformNeed(model=tiny_spec(), dtype="float8_e4m3"), "model.dtype"),
        (PlatformNeed(model=tiny_spec(), dtype="float32", num_ranks=3), "tensor_parallel"),
    ],
    ids=["dtype", "ranks"],
)
def test_what_cannot_run_is_refused_with_the_setting_to_change(need, remedy):
    (reason,) = CpuPlatform().check(need, {})

    assert remedy in reason.remedy
