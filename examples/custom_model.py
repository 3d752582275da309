"""A model family in one file: StableLM (Bellagente et al. 2024) as data, run with made-up weights."""

import json
import tempfile
from pathlib import Path

from jackfield import LLM, SamplingParams
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_rope, read_shape
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, Norm


def stablelm(config: ConfigReader) -> ModelSpec:
    """A quarter of each head rotates, norms are layer norms, q, k and v may have biases."""
    shape = read_shape(config)
    norm = Norm(kind="layer", epsilon=config.get("layer_norm_eps", float, 1e-5), bias=True)
    layer = Layer(
        mixer=Attention(
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            head_size=shape.head_size,
            scale=shape.head_size**-0.5,
            rope=read_rope(config, shape.head_size, default_share=0.25),
            qkv_bias=config.get("use_qkv_bias", bool, False),
        ),
        feed_forward=FeedForward(size=config.require("intermediate_size", int)),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return make_spec(config, layers=(layer,) * shape.num_layers, final_norm=norm)


CONFIG = {
    "architectures": ["StableLmForCausalLM"],
    "vocab_size": 1000,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}


def main() -> None:
    """Three prompts of token ids: a model of noise has no tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(CONFIG))
        plugins = ["models.StableLmForCausalLM=custom_model:stablelm"]
        with LLM(folder, plugins=plugins, settings={"select.weight_format": "dummy"}) as llm:
            prompts = [[1, 2, 3], [500, 501], [999] * 20]
            for output in llm.generate(prompts, SamplingParams(max_tokens=8, temperature=0.0)):
                print(output.prompt_token_ids, "->", output.outputs[0].token_ids)


if __name__ == "__main__":
    main()
