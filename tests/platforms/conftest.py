"""Tiny random models in folders, as a hub would lay them out, and their logits computed without any paging."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from jackfield.checkpoint.safetensors import SafetensorsFormat
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_source import ModelFiles
from jackfield.model_spec import ModelSpec
from jackfield_gemma.model import gemma3
from jackfield_llama.model import llama
from jackfield_testing_torch.dense_attention import DenseAttention
from jackfield_torch.decoder import assemble_decoder
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import CheckpointWeights
from jackfield_torch.tensor_parallel import SingleRank
from jackfield_torch.unquantized import UnquantizedScheme

VOCAB_SIZE = 96
MAX_LENGTH = 64
STD = 0.2  # so large that every token depends visibly on all before it
SHAPE = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": MAX_LENGTH,
    "rms_norm_eps": 1e-5,
    "eos_token_id": 5,
    "dtype": "float32",
}
CONFIGS: dict[str, tuple[Callable[[ConfigReader], ModelSpec], dict[str, Any]]] = {
    "llama": (llama, {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2}),
    "gemma3": (  # two cache groups, one of them with a window
        gemma3,
        {
            "architectures": ["Gemma3ForCausalLM"],
            "num_hidden_layers": 3,
            "sliding_window": 6,
            "query_pre_attn_scalar": 8,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
}


class TinyModel:
    """A folder with config.json and model.safetensors, and an oracle of what it answers."""

    def __init__(self, name: str, folder: Path) -> None:
        build, changes = CONFIGS[name]
        config = {**SHAPE, **changes}
        self.path = folder
        self.spec = build(ConfigReader(config))
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        save_file(make_weights(self.spec), folder / "model.safetensors")
        files = ModelFiles(reference=str(folder), path=folder)
        scheme = UnquantizedScheme()
        with SafetensorsFormat().open(files) as checkpoint:
            self._decoder = assemble_decoder(
                LoadContext(
                    spec=self.spec,
                    weights=CheckpointWeights(checkpoint, self.spec),
                    device=torch.device("cpu"),
                    dtype=torch.float32,
                    schemes=lambda part: scheme,
                    ranks=SingleRank(),
                    max_length=MAX_LENGTH,
                )
            )

    @torch.inference_mode()
    def logits(self, token_ids: Sequence[int]) -> Tensor:
        """[tokens, vocabulary], in one forward pass over the whole text with plain attention."""
        tokens = torch.tensor(token_ids)
        attention = DenseAttention(self.spec)
        hidden = self._decoder.forward(tokens, torch.arange(len(tokens)), attention)
        return self._decoder.logits(hidden)

    def greedy(self, prompt: Sequence[int], num_tokens: int) -> list[int]:
        """The most likely continuation; asserts that no near-tie decides it."""
        token_ids = list(prompt)
        for _ in range(num_tokens):
            best = self.logits(token_ids)[-1].topk(2)
            assert best.values[0] - best.values[1] > 1e-3
            token_ids.append(int(best.indices[0]))
        return token_ids[len(prompt) :]


def make_weights(spec: ModelSpec) -> dict[str, Tensor]:
    """Random parameters under the names that the spec's table gives them."""
    generator = torch.Generator().manual_seed(0)
    return {
        f"{spec.source(module).prefix}.weight": STD * torch.randn(*shape, generator=generator)
        + float(len(shape) == 1)  # norms
        for module, shape in _shapes(spec).items()
    }


def _shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    hidden = spec.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "embedding": (spec.vocab_size, hidden),
        "final_norm": (hidden,),
    }
    if not spec.tied_head:
        shapes["head"] = (spec.vocab_size, hidden)
    for index, layer in enumerate(spec.layers):
        mixer, size = layer.mixer, layer.feed_forward.size
        queries, keys = mixer.num_heads * mixer.head_size, mixer.num_kv_heads * mixer.head_size
        parts: dict[str, tuple[int, ...]] = {
            "mixer.q": (queries, hidden),
            "mixer.k": (keys, hidden),
            "mixer.v": (keys, hidden),
            "mixer.o": (hidden, queries),
            "feed_forward.gate": (size, hidden),
            "feed_forward.up": (size, hidden),
            "feed_forward.down": (hidden, size),
            "mixer_norm": (hidden,),
            "feed_forward_norm": (hidden,),
        }
        if mixer.q_norm:
            parts |= {"mixer.q_norm": (mixer.head_size,), "mixer.k_norm": (mixer.head_size,)}
        if layer.mixer_post_norm:
            parts |= {"mixer_post_norm": (hidden,), "feed_forward_post_norm": (hidden,)}
        shapes |= {f"layers.{index}.{name}": shape for name, shape in parts.items()}
    return shapes


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TinyModel]:
    """The tiny model of that name, made once."""
    made: dict[str, TinyModel] = {}

    def make(name: str) -> TinyModel:
        if name not in made:
            made[name] = TinyModel(name, tmp_path_factory.mktemp("models") / name)
        return made[name]

    return make


@pytest.fixture(params=sorted(CONFIGS))
def model(request: pytest.FixtureRequest, make_model: Callable[[str], TinyModel]) -> TinyModel:
    """Each of the tiny models."""
    return make_model(request.param)


@pytest.fixture
def tiny_llama(make_model: Callable[[str], TinyModel]) -> TinyModel:
    return make_model("llama")
