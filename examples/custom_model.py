"""A model family in one file: StableLM (Bellagente et al. 2024) as data, run with random weights."""

import json
import tempfile
from pathlib import Path

from jackfield import LLM, SamplingParams
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_feed_forward, read_rope, read_shape
from jackfield.model_spec import Layer, ModelSpec, Norm


def stablelm(config: ConfigReader) -> ModelSpec:
    """A quarter of each head rotates, norms are layer norms, and q, k and v may have biases."""
    for key in ("qk_layernorm", "use_parallel_residual"):
        if config.get(key, bool, False):
            raise config.refuse(key, True, "false")
    shape = read_shape(config, default_kv_heads=32)
    norm = Norm(kind="layer", epsilon=config.get("layer_norm_eps", float, 1e-5), bias=True)
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size, default_share=0.25),
        qkv_bias=config.get("use_qkv_bias", bool, False),
    )
    forward = read_feed_forward(config)
    layer = Layer(mixer=mixer, feed_forward=forward, mixer_norm=norm, feed_forward_norm=norm)
    layers = (layer,) * shape.num_layers
    return make_spec(config, layers=layers, final_norm=norm, end_token_id=0)


CONFIG = {
    "architectures": ["StableLmForCausalLM"],
    "vocab_size": 1000,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
}


def main() -> None:
    """Answer three prompts of token ids, because a model with random weights has no tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(CONFIG))
        plugins = ["models.StableLmForCausalLM=custom_model:stablelm"]
        with LLM(folder, plugins=plugins, settings={"select.weight_format": "dummy"}) as llm:
            prompts = [[1, 2, 3], [500, 501], [999] * 20]
            for output in llm.generate(prompts, SamplingParams(max_tokens=8, temperature=0.0)):
                print(output.prompt_token_ids, "->", output.outputs[0].token_ids)


if __name__ == "__main__":
    main()
