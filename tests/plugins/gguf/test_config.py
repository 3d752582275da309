"""Metadata become the config that the model's own checkpoint has."""

import numpy as np
import pytest

from jackfield.errors import CheckpointError, UnsupportedModelError
from jackfield_gguf.config import read_config
from jackfield_gguf.metadata import Metadata
from jackfield_gguf.reader import GgufFile

SHAPE = {
    "block_count": 8,
    "context_length": 64,
    "embedding_length": 32,
    "feed_forward_length": 64,
    "attention.head_count": 4,
    "attention.key_length": 16,
    "attention.layer_norm_rms_epsilon": 1e-6,
}


@pytest.fixture
def config_of(maker):
    def read(architecture, metadata=None, **changes):
        maker.write(architecture, {**SHAPE, **(metadata or {})}, **changes)
        file = GgufFile(maker.path)
        try:
            return read_config(Metadata(file))
        finally:
            file.close()

    return read


def test_what_gemma3_files_leave_out_is_supplied(config_of):
    config = config_of("gemma3", {"attention.sliding_window": 512})

    assert config["rope_local_base_freq"] == 10_000
    assert config["query_pre_attn_scalar"] == 16  # the head size
    assert config["rope_theta"] == 1_000_000
    assert (
        config["layer_types"]
        == ["sliding_attention"] * 5 + ["full_attention"] + ["sliding_attention"] * 2
    )


def test_what_newer_gemma3_files_say_is_taken(config_of):
    said = {"attention.sliding_window_pattern": 2, "rope.freq_base_swa": 7.0, "rope.freq_base": 9.0}
    config = config_of("gemma3", said)

    assert config["layer_types"] == ["sliding_attention", "full_attention"] * 4
    assert (config["rope_local_base_freq"], config["rope_theta"]) == (7, 9)


def test_scaling_of_gemma3_is_that_of_its_full_layers(config_of):
    config = config_of("gemma3", {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0})

    assert config["rope_scaling"] == {"rope_type": "linear", "factor": 8}


@pytest.mark.parametrize(("architecture", "num_layers"), [("gemma2", 46), ("gemma3", 62)])
def test_the_largest_gemmas_scale_queries_by_the_hidden_size(config_of, architecture, num_layers):
    config = config_of(architecture, {"block_count": num_layers})

    assert config["query_pre_attn_scalar"] == 32 // 4


def test_every_second_layer_of_gemma2_has_a_window(config_of):
    config = config_of("gemma2")

    assert config["layer_types"] == ["sliding_attention", "full_attention"] * 4
    assert (config["attn_logit_softcapping"], config["final_logit_softcapping"]) == (50, 30)


@pytest.mark.parametrize(
    ("tensors", "is_tied"), [({}, True), ({"output.weight": np.ones((5, 32), np.float32)}, False)]
)
def test_the_head_is_tied_where_there_is_no_output(config_of, tensors, is_tied):
    assert config_of("llama", tensors=tensors)["tie_word_embeddings"] is is_tied


def test_the_vocabulary_is_as_large_as_the_embedding(config_of):
    config = config_of("llama", {"vocab_size": 4}, other={"tokenizer.ggml.tokens": ["a", "b"]})

    assert config["vocab_size"] == 5


@pytest.mark.parametrize(
    ("file_type", "dtype"), [(0, "float32"), (1, "float16"), (3, "bfloat16"), (32, "bfloat16")]
)
def test_the_dtype_is_what_the_model_was_trained_in(config_of, file_type, dtype):
    assert config_of("llama", other={"general.file_type": file_type})["dtype"] == dtype


def test_special_tokens_are_named(config_of):
    other = {"tokenizer.ggml.bos_token_id": 3, "tokenizer.ggml.eos_token_id": 4}
    config = config_of("llama", other=other)

    assert (config["bos_token_id"], config["eos_token_id"]) == (3, 4)


def test_a_file_without_an_end_token_says_that_there_is_none(config_of):
    assert config_of("llama")["eos_token_id"] is None


def test_biases_are_seen_in_the_tensors(config_of):
    config = config_of("llama", tensors={"blk.0.attn_q.bias": np.ones(64, np.float32)})

    assert config["attention_bias"]
    assert not config["mlp_bias"]


def test_keys_that_have_a_meaning_when_absent_get_it(config_of):
    config = config_of("llama", {"attention.key_length": 8})

    assert config["num_key_value_heads"] == 4
    assert config["rope_theta"] == 10_000


def test_an_architecture_that_is_not_known_is_named_with_those_that_are(config_of):
    with pytest.raises(
        UnsupportedModelError, match=r"'mamba'; supported in GGUF: deepseek2, falcon-h1, "
    ):
        config_of("mamba")


def test_a_missing_key_is_named(config_of, maker):
    maker.write("llama", {"block_count": 2})

    with pytest.raises(CheckpointError, match=r"model.gguf lacks the metadata llama.attention"):
        read_config(Metadata(GgufFile(maker.path)))


def test_a_value_of_another_type_is_named(config_of):
    with pytest.raises(CheckpointError, match=r"llama.block_count are 'two'; a int is"):
        config_of("llama", {"block_count": "two"})


def test_a_value_for_each_layer_is_refused(config_of):
    with pytest.raises(CheckpointError, match="attention.head_count_kv"):
        config_of("llama", {"attention.head_count_kv": [1, 2, 3]})


def test_a_file_without_an_embedding_is_no_model(maker):
    maker.write("llama", SHAPE)
    data = maker.path.read_bytes()
    maker.path.write_bytes(data.replace(b"token_embd.weight", b"token_empt.weight"))

    with pytest.raises(CheckpointError, match="has no tensor 'token_embd.weight'"):
        read_config(Metadata(GgufFile(maker.path)))


def test_a_file_without_an_architecture_is_refused(maker):
    data = maker.write().read_bytes()
    maker.path.write_bytes(data.replace(b"general.architecture", b"general.architectura"))

    with pytest.raises(CheckpointError, match="does not say its architecture"):
        Metadata(GgufFile(maker.path))
