"""The benchmark of perplexity gives that of the model's own probabilities."""

import json
import math
import runpy
from pathlib import Path

import pytest
import torch
import transformers

from jackfield_testing.tokenizer import VOCAB_SIZE, write_byte_tokenizer

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "perplexity.py"

pytestmark = pytest.mark.cpu_model


def test_it_is_that_of_transformers(tmp_path, capsys):
    script = runpy.run_path(str(SCRIPT))
    config = transformers.LlamaConfig(
        vocab_size=VOCAB_SIZE, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=128,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.data.mul_(8.0)
    model.save_pretrained(tmp_path)
    write_byte_tokenizer(tmp_path)

    script["main"]([str(tmp_path), "--window", "64", "--windows", "2"])

    figures = json.loads(capsys.readouterr().out)["figures"][str(tmp_path)]
    text = (script["TEXTS"] / "devil.txt").read_bytes()[:128]
    ids = torch.tensor(list(text)).view(2, 64)
    with torch.no_grad():
        loss = model(ids, labels=ids).loss
    assert figures["devil"] == pytest.approx(math.exp(loss), rel=1e-3)
