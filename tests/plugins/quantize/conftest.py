"""Tiny models with random weights, as their own library saves them, and a way to quantise them."""

import pytest
import torch
import transformers

from jackfield.cli.main import main
from jackfield_testing.tokenizer import VOCAB_SIZE, write_byte_tokenizer

_SIZES = {"vocab_size": VOCAB_SIZE, "max_position_embeddings": 128}
_LLAMA = {
    **_SIZES,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**_LLAMA),
    # q, k and v in one matrix, gate and up in another
    "phi3": lambda: transformers.Phi3Config(**_LLAMA, pad_token_id=0),
    # matrices stored the other way round, layer norms, biases, no gate
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=VOCAB_SIZE, n_positions=128, n_embd=64, n_layer=2, n_head=4, n_inner=96
    ),
    # q, k and v interleaved by head, branches side by side
    "gpt_neox": lambda: transformers.GPTNeoXConfig(
        **_SIZES, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4
    ),
    # four experts, each token goes to two
    "mixtral": lambda: transformers.MixtralConfig(
        **_LLAMA, num_local_experts=4, num_experts_per_tok=2
    ),
    # norms with an offset, norms behind branches, windows, capped scores
    "gemma2": lambda: transformers.Gemma2Config(
        **_LLAMA, head_dim=16, query_pre_attn_scalar=16, sliding_window=8
    ),
}


@pytest.fixture(scope="session")
def model_of(tmp_path_factory):
    """The folder of a tiny model of that architecture, made once."""
    made = {}

    def make(name):
        if name not in made:
            folder = made[name] = tmp_path_factory.mktemp(name)
            torch.manual_seed(0)
            model = transformers.AutoModelForCausalLM.from_config(CONFIGS[name]())
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.data.normal_(0.0, 0.2)
            model.save_pretrained(folder)
            write_byte_tokenizer(folder)
            (folder / "LICENSE").write_text("Do what you like.\n")
        return made[name]

    return make


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """A calibration text of a few rows."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("The quick brown fox jumps over the lazy dog, again and again. " * 10)
    return path


@pytest.fixture
def command(text):
    """The words of the command for that text."""

    def words_of(model, target, *words):
        rows = ("--calibration", str(text), "--samples", "6", "--sample-length", "32")
        size = () if "--group-size" in words else ("--group-size", "32")
        return ["quantize", str(model), "-o", str(target), *rows, *size, *words]

    return words_of


@pytest.fixture
def quantize(command):
    """Runs the command; its status."""
    return lambda *words: main(command(*words))
