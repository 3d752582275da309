"""Tiny random models of every family as Transformers makes them, and the same files in our decoder.

Weights are so large, lengths so long and epsilons so coarse that every field of a spec shows in the logits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from jackfield.checkpoint.safetensors import SafetensorsFormat
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield_gemma.model import gemma, gemma2, gemma3
from jackfield_gpt2.model import gpt2
from jackfield_llama.model import llama, mistral
from jackfield_qwen.model import qwen2, qwen3
from jackfield_testing_torch.dense_attention import DenseAttention
from jackfield_torch.decoder import assemble_decoder
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import CheckpointWeights
from jackfield_torch.tensor_parallel import SingleRank
from jackfield_torch.unquantized import UnquantizedScheme

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_model.py"
SINKS = Path(__file__).with_name("granite_swa.py")
# Families that no member knows, for engines that are opened on a folder.
MODELS_OF_FILES = (
    "models.StableLmForCausalLM=custom_model:stablelm",
    "models.GraniteSWAForCausalLM=granite_swa:granite_swa",
    "models.ExaoneMoeForCausalLM=custom_experts:exaone_moe",
)
EMPTY = torch.empty(0)
LENGTH = 48  # tokens: three times the original context, several windows
STD = 0.2
SHAPE = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "rms_norm_eps": 0.3,
    "eos_token_id": 5,
}


@dataclass(frozen=True)
class Case:
    """One model: its family, what differs from SHAPE, and how its config.json is rewritten before we read it."""

    build: Callable[[ConfigReader], ModelSpec]
    config: str  # class in Transformers
    changes: dict[str, Any]
    rewrite: Callable[[dict[str, Any]], None] | None = None
    max_length: int = LENGTH  # of the engine, which dynamic scaling sees


def _scaled(**parameters: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_theta": 10000.0, **parameters}}


def _old_keys(config: dict[str, Any]) -> None:
    """The spelling of Transformers 4."""
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    kind = parameters.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **parameters}
    config["torch_dtype"] = config.pop("dtype")


def _old_gemma3_keys(config: dict[str, Any]) -> None:
    tables = config.pop("rope_parameters")
    full = tables["full_attention"]
    config["rope_theta"] = full.pop("rope_theta")
    config["rope_scaling"] = full
    config["rope_local_base_freq"] = tables["sliding_attention"]["rope_theta"]
    config["sliding_window_pattern"] = 3
    del config["layer_types"]


_LLAMA3 = _scaled(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
_GEMMA = {"head_dim": 24, "hidden_activation": "gelu_pytorch_tanh"}
_GEMMA3_ROPE = {
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0},
    }
}
_GEMMA3 = {
    **_GEMMA,
    **_GEMMA3_ROPE,
    "num_hidden_layers": 4,
    "sliding_window": 6,
    "query_pre_attn_scalar": 20,
    "final_logit_softcapping": 4.0,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
}  # fmt: skip

CASES = {
    "llama": Case(llama, "LlamaConfig", {}),
    "llama_biases": Case(
        llama, "LlamaConfig", {"attention_bias": True, "mlp_bias": True, "head_dim": 24}
    ),
    "llama_tied": Case(
        llama, "LlamaConfig", {"tie_word_embeddings": True, "hidden_act": "gelu_pytorch_tanh"}
    ),
    "llama_gelu": Case(llama, "LlamaConfig", {"hidden_act": "gelu"}),
    "llama_relu": Case(llama, "LlamaConfig", {"hidden_act": "relu"}),
    "llama_relu2": Case(llama, "LlamaConfig", {"hidden_act": "relu2"}),
    "llama_old_keys": Case(llama, "LlamaConfig", _scaled(rope_type="default"), _old_keys),
    "llama_linear": Case(llama, "LlamaConfig", _scaled(rope_type="linear", factor=4.0)),
    "llama_linear_old_keys": Case(
        llama, "LlamaConfig", _scaled(rope_type="linear", factor=4.0), _old_keys
    ),
    "llama_dynamic": Case(
        llama,
        "LlamaConfig",
        {**_scaled(rope_type="dynamic", factor=3.0), "max_position_embeddings": 16},
    ),
    "llama_llama3": Case(llama, "LlamaConfig", _LLAMA3),
    "llama_llama3_old_keys": Case(llama, "LlamaConfig", _LLAMA3, _old_keys),
    "llama_yarn": Case(llama, "LlamaConfig", _scaled(**_YARN)),
    "llama_yarn_ramp": Case(
        llama,
        "LlamaConfig",
        _scaled(**_YARN, beta_fast=2.0, beta_slow=0.3, attention_factor=1.5, truncate=False),
    ),
    "llama_yarn_mscale": Case(
        llama, "LlamaConfig", _scaled(**_YARN, mscale=6.0, mscale_all_dim=1.0), _old_keys
    ),
    "mistral": Case(mistral, "MistralConfig", {"sliding_window": 7}),
    "mistral_no_window": Case(mistral, "MistralConfig", {"sliding_window": None}),
    "qwen2": Case(qwen2, "Qwen2Config", {}),
    "qwen2_windows": Case(
        qwen2,
        "Qwen2Config",
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    ),
    "qwen2_windows_old_keys": Case(
        qwen2,
        "Qwen2Config",
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
        lambda config: config.pop("layer_types") and None,
    ),
    "qwen3": Case(qwen3, "Qwen3Config", {"head_dim": 24, "tie_word_embeddings": True}),
    "qwen3_biases": Case(qwen3, "Qwen3Config", {"attention_bias": True}),
    "gemma": Case(gemma, "GemmaConfig", {"head_dim": 24}),
    "gemma2": Case(
        gemma2,
        "Gemma2Config",
        {
            **_GEMMA,
            "sliding_window": 6,
            "query_pre_attn_scalar": 20,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 4.0,
        },
    ),
    "gemma3": Case(gemma3, "Gemma3TextConfig", _GEMMA3),
    "gemma3_old_keys": Case(gemma3, "Gemma3TextConfig", _GEMMA3, _old_gemma3_keys),
    "gpt2": Case(gpt2, "GPT2Config", {}),
    "gpt2_layer_scales": Case(
        gpt2, "GPT2Config", {"scale_attn_by_inverse_layer_idx": True, "n_inner": 96}
    ),
}  # fmt: skip
# The example of the documentation: a family that no member knows, with rope on a part of each head.
CASES["stablelm"] = Case(
    run_path(str(EXAMPLE))["stablelm"],
    "StableLmConfig",
    {"layer_norm_eps": 0.3, "use_qkv_bias": True, "partial_rotary_factor": 0.5},
)
# A mixture of experts by a stranger.
CASES["exaone_moe"] = Case(
    run_path(str(EXAMPLE.with_name("custom_experts.py")))["exaone_moe"],
    "ExaoneMoeConfig",
    {
        "sliding_window": 7,
        "sliding_window_pattern": 2,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "n_group": 2,
        "topk_group": 1,
    },
)
CASES["granite_swa"] = Case(
    run_path(str(SINKS))["granite_swa"],
    "GraniteSWAConfig",
    {
        "sliding_window": 7,
        "layer_types": ["full_attention", "sliding_attention"],
        "layer_rope_theta": [0, 500.0],
        "attention_multiplier": 0.4,
        "embedding_multiplier": 3.0,
        "residual_multiplier": 0.7,
        "logits_scaling": 0.5,
    },
)
_GPT2_SHAPE = {
    "vocab_size": 96,
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "layer_norm_epsilon": 0.3,
}


class EditedWeights(CheckpointWeights):
    """Parameters of a checkpoint, some of them changed or made up."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        spec: ModelSpec,
        edits: Mapping[str, Callable[[Tensor], Tensor]],
    ) -> None:
        super().__init__(checkpoint, spec)
        self._edits = edits

    def read(self, module: str, parameter: str, shape: tuple[int, ...] | None = None) -> Tensor:
        name = f"{module}.{parameter}"
        if name not in self._edits:
            return super().read(module, parameter, shape)
        is_stored = module in self._spec.modules or module.startswith("layers")
        stored = super().read(module, parameter) if is_stored and parameter == "weight" else EMPTY
        return self._edits[name](stored)


class Oracle:
    """A model of Transformers on disk, its logits, and our decoder on the same files."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        shape = _GPT2_SHAPE if case.build is gpt2 else SHAPE
        config = getattr(transformers, case.config)(**{**shape, **case.changes})
        torch.manual_seed(1)
        model = transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        for name, parameter in model.named_parameters():
            is_gain = parameter.ndim == 1 and name.endswith("weight")  # of a norm
            is_minus_one = is_gain and case.build in (gemma, gemma2, gemma3)
            mean = 1.0 if is_gain and not is_minus_one else 0.0
            torch.nn.init.normal_(parameter, mean, STD)
        saved = set(model.state_dict())
        for name, buffer in model.named_buffers():  # biases that balance experts
            if name in saved:
                torch.nn.init.normal_(buffer, 0.0, STD)
        model.save_pretrained(folder)
        _rewrite(folder / "config.json", case)
        self.folder = folder
        self._files = ModelFiles(reference=str(folder), path=folder)
        self.token_ids = torch.randint(0, SHAPE["vocab_size"], (LENGTH,))
        with torch.no_grad():
            self.logits = model(self.token_ids[None]).logits[0]
        with self.open() as checkpoint:
            self.spec = case.build(ConfigReader(checkpoint.config))

    def open(self) -> Checkpoint:
        return SafetensorsFormat().open(self._files)

    def run(
        self,
        spec: ModelSpec | None = None,
        scheme: Any = None,
        chunks: tuple[int, ...] = (LENGTH,),
        max_length: int | None = None,
        edits: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
        attention: Any = None,
    ) -> Tensor:
        """Our logits of all tokens, computed in steps of `chunks` tokens, with some parameters edited."""
        spec, scheme = spec or self.spec, scheme or UnquantizedScheme()
        with self.open() as checkpoint, torch.inference_mode():
            decoder = assemble_decoder(
                LoadContext(
                    spec=spec,
                    weights=EditedWeights(checkpoint, spec, edits or {}),
                    device=torch.device("cpu"),
                    dtype=torch.float32,
                    schemes=lambda part: scheme,
                    ranks=SingleRank(),
                    max_length=max_length or self.case.max_length,
                )
            )
            attention = attention or DenseAttention(spec, decoder.sinks)
            positions = torch.arange(LENGTH).split(list(chunks))
            steps = zip(self.token_ids.split(list(chunks)), positions, strict=True)
            hidden = [decoder.forward(ids, places, attention) for ids, places in steps]
            return decoder.logits(torch.cat(hidden))

    def distance(self, logits: Tensor) -> float:
        """The largest difference to the reference, relative to its largest logit."""
        return float((logits - self.logits).abs().max() / self.logits.abs().max())


def _rewrite(path: Path, case: Case) -> None:
    config = json.loads(path.read_text())
    if case.rewrite is not None:
        case.rewrite(config)
    path.write_text(json.dumps(config))


@pytest.fixture(scope="session")
def make_oracle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Oracle]:
    """Makes each model once."""
    made: dict[str, Oracle] = {}

    def make(name: str) -> Oracle:
        if name not in made:
            made[name] = Oracle(CASES[name], tmp_path_factory.mktemp(name))
        return made[name]

    return make


@pytest.fixture(params=CASES)
def oracle(request: pytest.FixtureRequest, make_oracle: Callable[[str], Oracle]) -> Oracle:
    return make_oracle(request.param)


@pytest.fixture
def all_oracles(make_oracle: Callable[[str], Oracle]) -> list[Oracle]:
    return [make_oracle(name) for name in CASES]


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> Iterator[None]:
    transformers.utils.logging.disable_progress_bar()
    yield
    transformers.utils.logging.enable_progress_bar()


@pytest.fixture
def models_of_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `plugins` of an engine must name for all cases; the files are on the path meanwhile."""
    for folder in (SINKS.parent, EXAMPLE.parent):
        monkeypatch.syspath_prepend(folder)
    return list(MODELS_OF_FILES)
