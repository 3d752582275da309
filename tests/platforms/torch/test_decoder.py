from dataclasses import replace

import pytest
import torch

from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.model import ConfigReader
from jackfield_llama.model import llama
from jackfield_testing_torch.dense_attention import DenseAttention
from jackfield_torch.decoder import assemble_decoder
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import RandomWeights
from jackfield_torch.tensor_parallel import RankGroup, SingleRank
from jackfield_torch.unquantized import UnquantizedScheme

CPU = torch.device("cpu")
SPEC = llama(
    ConfigReader(
        {
            "architectures": ["LlamaForCausalLM"],
            "vocab_size": 1024,
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32,
        }
    )
)


class ThirdOf(RankGroup):
    """One of three ranks, without the others."""

    rank, num_ranks = 0, 3

    def all_reduce(self, x):
        return x

    def all_gather(self, x):
        return x


def decoder_of(spec=SPEC, dtype=torch.float32, group=None):
    scheme = UnquantizedScheme()
    return assemble_decoder(
        LoadContext(
            spec=spec,
            weights=RandomWeights(0, CPU),
            device=CPU,
            dtype=dtype,
            schemes=lambda part: scheme,
            ranks=group or SingleRank(),
            max_length=32,
        )
    )


def test_hidden_states_and_logits_have_the_dtype_asked_for():
    decoder = decoder_of(dtype=torch.bfloat16)

    hidden = decoder.forward(torch.arange(5), torch.arange(5), DenseAttention(SPEC))

    assert (hidden.dtype, hidden.shape) == (torch.bfloat16, (5, 48))
    assert (decoder.logits(hidden).dtype, decoder.logits(hidden[:2]).shape) == (
        torch.bfloat16,
        (2, 1024),
    )


def test_an_embedding_scale_is_rounded_to_the_dtype_of_the_activations():
    scale = 48**0.5  # 6.9282 is 6.9375 in bfloat16
    tokens = torch.arange(9)
    plain, scaled = (
        decoder_of(replace(SPEC, layers=(), embedding_scale=factor), torch.bfloat16).forward(
            tokens, tokens, DenseAttention(SPEC)
        )
        for factor in (1.0, scale)
    )

    assert torch.equal(scaled, plain * 6.9375)
    assert not torch.equal(scaled, (plain.float() * scale).bfloat16())


def test_heads_that_ranks_cannot_share_are_refused_with_the_setting():
    with pytest.raises(UnsupportedModelError, match=r"3 ranks.*executor\.tensor_parallel"):
        decoder_of(group=ThirdOf())


def test_norms_after_the_sums_of_parallel_branches_are_refused():
    layer = replace(SPEC.layers[0], norm_after_sum=True, parallel=True)

    with pytest.raises(UnsupportedModelError, match="layer 0 has norms after its sums"):
        decoder_of(replace(SPEC, layers=(layer,)))


def test_an_engine_says_how_linears_are_kept_and_what_a_tied_head_costs():
    tied = decoder_of(replace(SPEC, tied_head=True), torch.bfloat16).details

    assert decoder_of().details["plain linears"].endswith("float32")
    assert "tied head" not in decoder_of().details
    assert ("tied head" in tied) == tied["plain linears"].startswith("packed")
