"""Adapters are models for clients."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from jackfield_testing.models import write_model
from jackfield_testing.tokenizer import VOCAB_SIZE

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def save_adapter(folder, model, seed):
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, linear in model.named_modules():
        if name.endswith(("q_proj", "down_proj")):
            out_size, in_size = linear.weight.shape
            place = f"base_model.model.{name}"
            tensors[f"{place}.lora_A.weight"] = torch.randn(4, in_size, generator=generator)
            tensors[f"{place}.lora_B.weight"] = torch.randn(out_size, 4, generator=generator)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    (folder / "adapter_config.json").write_text(json.dumps(settings))


@pytest.fixture
def folder(tmp_path):
    """A tiny model with a tokenizer, and two adapters."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE, max_position_embeddings=128, initializer_range=0.3, **SIZES
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path / "model")
    write_model(tmp_path / "words")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tmp_path / "words" / file, tmp_path / "model" / file)
    for seed, name in enumerate(("sql", "poem")):
        save_adapter(tmp_path / name, model, seed)
    return tmp_path


def test_each_adapter_is_a_model_that_a_request_can_name(start, folder):
    words = ["--platform", "cpu", "--served-model-name", "tiny", "--set", "cache.num_blocks=64"]
    words += ["--set", "options.serve.admin=true", "--lora-modules", f"sql={folder / 'sql'}"]

    with start(*words, model=folder / "model") as server:
        client = server.openai()

        def answer(model):
            asked = {"prompt": "ab", "max_tokens": 8, "temperature": 0}
            body = {"ignore_eos": True, "return_tokens_as_token_ids": True}
            found = client.completions.create(model=model, logprobs=0, extra_body=body, **asked)
            assert found.model == model
            return found.choices[0].logprobs.tokens

        def change(verb, **values):
            return server.http.post(f"/v1/{verb}_lora_adapter", json=values)

        parents = {card.id: card.parent for card in client.models.list()}
        plain, sql = answer("tiny"), answer("sql")
        loaded = change("load", lora_name="poem", lora_path=str(folder / "poem"))
        poem = answer("poem")
        again = change("load", lora_name="poem", lora_path=str(folder / "poem"))
        wrong = change("load", lora_name="none", lora_path=str(folder / "none"))
        unloaded = change("unload", lora_name="poem")
        missing = server.http.post("/v1/completions", json={"model": "poem", "prompt": "ab"})
        vectors = server.http.post("/v1/embeddings", json={"model": "sql", "input": "ab"})

    assert parents == {"tiny": None, "sql": "tiny"}
    assert len({tuple(plain), tuple(sql), tuple(poem)}) == 3
    assert [loaded.status_code, again.status_code, wrong.status_code] == [200, 400, 400]
    assert "has no adapter_config.json" in wrong.text
    assert (unloaded.status_code, missing.status_code, vectors.status_code) == (200, 404, 400)
