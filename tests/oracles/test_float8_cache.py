"""Keys and values in float8 with the scales of a checkpoint: what Transformers gives if its cache rounds them so."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from jackfield import LLM, SamplingParams
from jackfield_testing.tokenizer import VOCAB_SIZE, write_byte_tokenizer

pytestmark = pytest.mark.cpu_model

PROMPT = [*range(30, 75)]
SCALES = {"k": (0.011, 0.02), "v": (0.003, 0.008)}  # of each layer
BACKENDS = ("torch_sdpa", "cpu_paged")


class RoundingCache(transformers.DynamicCache):
    """Rounds what is put into it. `scales`: of each layer, its keys' and its values'."""

    def __init__(self, scales):
        super().__init__()
        self.scales = scales

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        rounded = (
            (x / scale).clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale
            for x, scale in zip((key_states, value_states), self.scales[layer_idx], strict=True)
        )
        return super().update(*rounded, layer_idx, *args, **kwargs)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        vocab_size=VOCAB_SIZE, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data.normal_(0.0, 0.2)
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """The model with scales, as llm-compressor names them, and a config that asks for a cache of float8."""
    path = tmp_path_factory.mktemp("float8_cache")
    model.save_pretrained(path)
    write_byte_tokenizer(path)
    tensors = load_file(path / "model.safetensors")
    for letter, scales in SCALES.items():
        for layer, scale in enumerate(scales):
            tensors[f"model.layers.{layer}.self_attn.{letter}_scale"] = torch.tensor([scale])
    save_file(tensors, path / "model.safetensors", {"format": "pt"})
    config = json.loads((path / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "config_groups": {},
        "kv_cache_scheme": {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False},
    }
    (path / "config.json").write_text(json.dumps(config))
    return path


def expected(model, scales, num_tokens):
    """Tokens by argmax, and the log probabilities of the prompt."""
    with torch.no_grad():
        cache = RoundingCache(scales)
        logits = model(torch.tensor([PROMPT]), past_key_values=cache).logits[0]
        tokens = [int(logits[-1].argmax())]
        while len(tokens) < num_tokens:
            step = model(torch.tensor([tokens[-1:]]), past_key_values=cache)
            tokens.append(int(step.logits[0, -1].argmax()))
    chosen = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(PROMPT[1:]).unsqueeze(1))
    return tokens, chosen.squeeze(1)


def found(folder, num_tokens, **settings):
    settings = {"model.max_length": 80, **settings}
    with LLM(str(folder), dtype="float32", settings=settings) as llm:
        params = SamplingParams(
            max_tokens=num_tokens, temperature=0.0, prompt_logprobs=0, ignore_eos=True
        )
        (output,) = llm.generate([PROMPT], params)
    scored = torch.tensor([entry.logprob for entry in output.prompt_logprobs[1:]])
    return list(output.outputs[0].token_ids), scored


@pytest.mark.parametrize("backend", BACKENDS)
def test_scales_of_a_checkpoint_are_those_of_its_cache(model, folder, backend):
    tokens, scored = expected(model, list(zip(*SCALES.values(), strict=True)), 12)

    ours, logprobs = found(folder, 12, **{"select.attention": backend})

    assert ours == tokens
    torch.testing.assert_close(logprobs, scored, rtol=0, atol=2e-4)


def test_a_cache_that_the_user_makes_small_has_no_scales(model, tmp_path):
    model.save_pretrained(tmp_path)
    write_byte_tokenizer(tmp_path)
    tokens, scored = expected(model, [(1.0, 1.0)] * 2, 12)

    ours, logprobs = found(tmp_path, 12, **{"cache.dtype": "float8_e4m3"})

    assert ours == tokens
    torch.testing.assert_close(logprobs, scored, rtol=0, atol=2e-4)


def test_a_user_may_keep_the_cache_wide(model, folder):
    with torch.no_grad():
        logits = model(torch.tensor([PROMPT])).logits[0].log_softmax(-1)
    scored = logits[:-1].gather(1, torch.tensor(PROMPT[1:]).unsqueeze(1)).squeeze(1)

    _, logprobs = found(folder, 1, **{"cache.dtype": "float32"})

    torch.testing.assert_close(logprobs, scored, rtol=0, atol=2e-4)
