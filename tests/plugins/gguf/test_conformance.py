"""GGUF passes the kits of weight formats and tokenizers, with files that the format's own package writes."""

import numpy as np
import pytest

from jackfield.dtypes import FLOAT16, FLOAT32
from jackfield.testing.conformance.samples import SampleCheckpoint, SampleTensor
from jackfield.testing.conformance.tokenizer import TokenizerKit
from jackfield.testing.conformance.weight_format import WeightFormatKit
from jackfield_gguf.byte_level import byte_characters

HEADS = 4
Q_PROJ = "model.layers.0.self_attn.q_proj.weight"
NAMES = {
    "model.embed_tokens.weight": ("token_embd.weight", np.float32, (5, 32)),
    Q_PROJ: ("blk.0.attn_q.weight", np.float32, (32, 32)),
    "model.layers.0.mlp.up_proj.weight": ("blk.0.ffn_up.weight", np.float16, (64, 32)),
    "model.norm.weight": ("output_norm.weight", np.float32, (32,)),
}
DTYPES = {np.float32: FLOAT32, np.float16: FLOAT16}


def in_pairs(weight):
    """Rows as converters put them: the two halves of a head interleaved."""
    return weight.reshape(HEADS, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def tokenizer_metadata():
    """All bytes, a few merges and an end token."""
    merges = ["h e", "l l", "he ll", "t h", "Ġ Ġ"]
    words = [merge.replace(" ", "") for merge in merges]
    tokens = [*byte_characters().values(), *words, "<|end|>"]
    values = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": tokens,
        "token_type": [1] * (len(tokens) - 1) + [3],
        "merges": merges,
        "bos_token_id": len(tokens) - 1,
        "eos_token_id": len(tokens) - 1,
        "add_bos_token": True,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in values.items()}


class TestWeights(WeightFormatKit):
    name = "gguf"

    @pytest.fixture
    def sample(self, maker):
        random = np.random.default_rng(0)
        made = {
            name: random.normal(size=shape).astype(dtype)
            for name, (_, dtype, shape) in NAMES.items()
        }
        baked = {**made, Q_PROJ: in_pairs(made[Q_PROJ])}
        maker.write(tensors={NAMES[name][0]: array for name, array in baked.items()})
        return SampleCheckpoint(
            path=maker.path,
            tensors={
                name: SampleTensor(DTYPES[NAMES[name][1]], array.shape, array.tobytes())
                for name, array in made.items()
            },
            config={"architectures": ["LlamaForCausalLM"], "hidden_size": 32},
        )


class TestTokenizer(TokenizerKit):
    name = "gguf"

    @pytest.fixture
    def sample(self, maker):
        maker.write(other=tokenizer_metadata())
        return maker.files
