"""Answers do not depend on when the device is done. All tests use a device that is late, padded and replayed."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from jackfield import LLM, SamplingParams
from jackfield_testing.conformance.platform import PlatformKit
from jackfield_testing_torch.conformance.known_model import transformers_model, write_known_model
from jackfield_testing_torch.late_device import LateDevice
from jackfield_torch import attention_step
from jackfield_torch.replays import Replays
from jackfield_torch_sdpa.backend import TorchSdpaBackend

LATE = ("platforms.late=jackfield_testing_torch.late_platform:LatePlatform",)
pytestmark = pytest.mark.cpu_model


@pytest.mark.slow
class TestLatePlatform(PlatformKit):
    name = "late"
    plugins = LATE


@pytest.fixture
def captures(monkeypatch):
    """Steps are captured and replayed; the numbers of rows that were replayed."""
    monkeypatch.setattr(TorchSdpaBackend, "capture", "uniform")
    replayed = []
    logits = Replays.logits

    def counted(self, batch):
        if batch.is_padded and len(batch.rows_P) in self._replays:
            replayed.append(len(batch.rows_P))
        return logits(self, batch)

    monkeypatch.setattr(Replays, "logits", counted)
    return replayed


PROMPTS = [[11, 4, 27, 90, 3, 15], [60, 2, 2], [7], [9, 33, 12, 54, 6], [8, 8]]
PARAMS = [
    SamplingParams(temperature=0.0, max_tokens=9, ignore_eos=True, logprobs=1),
    SamplingParams(temperature=1.2, top_p=0.9, seed=3, max_tokens=14, ignore_eos=True),
    SamplingParams(temperature=0.0, presence_penalty=1.0, max_tokens=5, ignore_eos=True),
    SamplingParams(temperature=0.7, seed=4, max_tokens=11, ignore_eos=True, prompt_logprobs=1),
    SamplingParams(temperature=0.0, min_tokens=4, max_tokens=12),
]


def answers(model, plugins=(), repeats=1, count=5, **settings):
    with LLM(
        str(model.path),
        dtype="float32",
        plugins=plugins,
        settings={"cache.block_size": 4, "scheduler.max_rows": 6, **settings},
    ) as llm:
        for _ in range(repeats):
            outputs = llm.generate(PROMPTS[:count], PARAMS[:count])
    return [list(output.outputs[0].token_ids) for output in outputs]


@pytest.mark.parametrize("depth", [1, 3])
def test_replayed_steps_give_what_eager_ones_give(model, captures, depth):
    late = answers(model, LATE, **{"select.platform": "late", "executor.depth": depth})

    assert late == answers(model, **{"select.platform": "cpu"})
    assert {1, 2, 4, 6} >= set(captures) >= {1, 2, 6}


@pytest.fixture
def replayed_prompts(captures, monkeypatch):
    """Steps with prompts are captured and replayed too; the rows and tokens of those that were replayed."""
    monkeypatch.setattr(TorchSdpaBackend, "capture", "any")
    monkeypatch.setattr(LateDevice, "token_sizes", (8, 16, 24, 32))
    replayed = []
    hidden = Replays.hidden

    def counted(self, batch):
        if self._mixed.get(batch.shape) is not None:
            replayed.append(batch.shape)
        return hidden(self, batch)

    monkeypatch.setattr(Replays, "hidden", counted)
    return replayed


def test_steps_with_prompts_are_padded_and_replayed(model, replayed_prompts):
    settings = {"scheduler.max_rows": 12, "cache.prefix_caching": False}
    late = answers(model, LATE, 3, 3, **{"select.platform": "late", **settings})

    assert late == answers(model, (), 1, 3, **{"select.platform": "cpu", **settings})
    assert (8, 16) in replayed_prompts


@pytest.fixture(scope="module")
def latent_model(tmp_path_factory):
    """Latent attention that absorbs rows of up to 4 queries."""
    sizes = {
        "kv_lora_rank": 32,
        "qk_nope_head_dim": 4,
        "v_head_dim": 4,
        "qk_rope_head_dim": 8,
        "head_dim": 8,
    }
    changes = {
        "num_key_value_heads": 4, "q_lora_rank": None, "n_routed_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 48, "n_shared_experts": 1, "first_k_dense_replace": 1, "pad_token_id": 0,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("latent")
    write_known_model(transformers_model("DeepseekV2ForCausalLM", {**sizes, **changes}), folder)
    return SimpleNamespace(path=folder)


@pytest.mark.parametrize("most_pairs", [1 << 19, 0])
def test_prompts_over_latent_caches_are_replayed_where_absorbing_them_costs_little(
    latent_model, replayed_prompts, monkeypatch, most_pairs
):
    monkeypatch.setattr(attention_step, "_MOST_PAIRS", most_pairs)
    settings = {"scheduler.max_rows": 12, "cache.prefix_caching": False}
    late = answers(latent_model, LATE, 3, 3, **{"select.platform": "late", **settings})

    assert late == answers(latent_model, (), 1, 3, **{"select.platform": "cpu", **settings})
    assert ((8, 16) in replayed_prompts) == (most_pairs > 0)


def test_steps_that_run_only_to_compile_change_no_answer(tiny_llama, captures, monkeypatch):
    runs = []

    def compile_ahead(self, run):
        runs.append(run())

    monkeypatch.setattr(LateDevice, "compile_ahead", compile_ahead)

    late = answers(tiny_llama, LATE, **{"select.platform": "late"})

    assert late == answers(tiny_llama, **{"select.platform": "cpu"})
    assert len(runs) == 1


def test_plain_draws_are_replayed_too(tiny_llama, captures, monkeypatch):
    replayed = []
    draws = Replays.draws

    def replay(facts, draw):
        replayed.append(facts.is_random)
        return draw()

    def counted(self, batch):
        return {facts: partial(replay, facts, draw) for facts, draw in draws(self, batch).items()}

    monkeypatch.setattr(Replays, "draws", counted)
    found = []
    for platform in ("late", "cpu"):
        settings = {"select.platform": platform, "scheduler.max_rows": 6}
        with LLM(str(tiny_llama.path), dtype="float32", plugins=LATE, settings=settings) as llm:
            for temperature in (0.0, 0.9):
                params = SamplingParams(
                    temperature=temperature, seed=3, max_tokens=8, ignore_eos=True
                )
                outputs = llm.generate(PROMPTS[:2], params)
                found.append([list(output.outputs[0].token_ids) for output in outputs])

    assert found[:2] == found[2:]
    assert set(replayed) == {False, True}


def test_drafts_are_confirmed_late(tiny_llama):
    drafts = {"select.speculator": "ngram", "speculation.num_tokens": 3, "executor.depth": 3}

    late = answers(tiny_llama, LATE, **{"select.platform": "late", **drafts})

    assert late == answers(tiny_llama, **{"select.platform": "cpu"})


def test_results_come_late_from_another_process(tiny_llama):
    settings = {"select.platform": "late", "select.executor": "multiprocess"}

    assert answers(tiny_llama, LATE, **settings) == answers(tiny_llama)


def test_memory_that_is_used_too_early_is_noticed():
    device = LateDevice()
    host = device.host_memory(8).view(torch.int32)
    host.copy_(torch.tensor([1, 2]))
    target = torch.zeros(2, dtype=torch.int32)
    device.copy(target, host)
    event = device.record()

    host[0] = 7

    assert target.tolist() == [1, 2]
    with pytest.raises(AssertionError, match="still in flight"):
        event.wait()


def test_a_result_is_there_only_when_its_event_has_passed():
    device = LateDevice()
    host = device.host_memory(8).view(torch.int32)
    device.copy(host, torch.tensor([1, 2], dtype=torch.int32))
    event = device.record()
    assert host.tolist() != [1, 2]

    event.wait()

    assert host.tolist() == [1, 2]
