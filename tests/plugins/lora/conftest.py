"""Tiny models and adapters of them, and the same models with an adapter merged in."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

SETTINGS: dict[str, Any] = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "bias": "none"}
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def write_adapter(
    folder: Path,
    model: Any,
    *,
    seed: int,
    modules: tuple[str, ...] = ALL,
    rank: int = 4,
    **settings: Any,
) -> str:
    """Random A and B for all linears of `model` with these names, in a folder as PEFT writes it."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, linear in model.named_modules():
        if name.rpartition(".")[2] in modules:
            place, (out_size, in_size) = f"base_model.model.{name}", linear.weight.shape
            tensors[f"{place}.lora_A.weight"] = torch.randn(rank, in_size, generator=generator) / 8
            tensors[f"{place}.lora_B.weight"] = torch.randn(out_size, rank, generator=generator) / 8
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    values = {**SETTINGS, "r": rank, "target_modules": list(modules), **settings}
    (folder / "adapter_config.json").write_text(json.dumps(values))
    return str(folder)


def merge(model: Any, folder: str) -> None:
    """W + scale * B @ A for each linear that the adapter changes (Hu et al. 2021, equation 3)."""
    settings = json.loads((Path(folder) / "adapter_config.json").read_text())
    tensors: dict[str, Tensor] = load_file(Path(folder) / "adapter_model.safetensors")
    root = math.sqrt(settings["r"]) if settings.get("use_rslora") else settings["r"]
    for name, linear in model.named_modules():
        a = tensors.get(f"base_model.model.{name}.lora_A.weight")
        if a is not None:
            b = tensors[f"base_model.model.{name}.lora_B.weight"]
            linear.weight.data += settings["lora_alpha"] / root * (b @ a)


SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.3,
}


class Known:
    """A model on disk with two adapters, and what Transformers answers with each merged in."""

    def __init__(self, folder, model):
        self.path = folder / "model"
        model.save_pretrained(self.path)
        self.adapters = {
            "sql": write_adapter(folder / "sql", model, seed=1),
            "poem": write_adapter(
                folder / "poem",
                model,
                seed=2,
                modules=("q_proj", "v_proj"),
                rank=2,
                use_rslora=True,
            ),
        }
        self.models = {"": model}
        for name, path in self.adapters.items():
            self.models[name] = copy.deepcopy(model)
            merge(self.models[name], path)

    def logprobs(self, name, tokens):
        """Log probabilities of all next tokens, float32 [len(tokens), vocabulary]."""
        with torch.no_grad():
            return self.models[name](torch.tensor([tokens])).logits[0].log_softmax(-1)

    def greedy(self, name, prompt, count):
        """The likeliest next tokens, one after the other."""
        tokens = list(prompt)
        for _ in range(count):
            tokens.append(int(self.logprobs(name, tokens)[-1].argmax()))
        return tokens[len(prompt) :]


def _make(folder, config_class, model_class):
    torch.manual_seed(0)
    model = model_class(config_class(**SIZES)).eval()
    return Known(folder, model)


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    return _make(tmp_path_factory.mktemp("llama"), LlamaConfig, LlamaForCausalLM)


@pytest.fixture(scope="session")
def qwen(tmp_path_factory):
    return _make(tmp_path_factory.mktemp("qwen"), Qwen3Config, Qwen3ForCausalLM)


@pytest.fixture
def save_adapter():
    """Writes an adapter's folder."""
    return write_adapter
