"""Scores what an engine with random weights produced by Transformers' model with the same weights, on the same device."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import torch
import transformers
from torch import Tensor

from jackfield.dtypes import parse_dtype
from jackfield.errors import ConfigError
from jackfield_bench.outputs import ProducedText, RoundedBy, Score
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.quantization import KIND, LinearPart
from jackfield_torch.loader import RandomWeights, WeightShard

# Logits of two implementations in bfloat16 differ by some hundredths of their standard deviation; those of a wrong token
# lie four of them below the best one.
_MARGIN = 0.15  # standard deviations of the logits
_DEVIATION = 4.0  # standard deviations of the mean
_CHUNK = 256  # positions whose logits exist at once

_MODULES = {
    "embed_tokens": "embedding",
    "self_attn.q_proj": "mixer.q",
    "self_attn.k_proj": "mixer.k",
    "self_attn.v_proj": "mixer.v",
    "self_attn.o_proj": "mixer.o",
    "mlp.gate_proj": "feed_forward.gate",
    "mlp.up_proj": "feed_forward.up",
    "mlp.down_proj": "feed_forward.down",
    "lm_head": "head",
}


def score(
    config: Mapping[str, Any],
    texts: Mapping[str, Sequence[ProducedText]],
    seed: int,
    dtype: str,
    platform: str,
    rounded: RoundedBy | None = None,
) -> Mapping[str, Score]:
    """The score of each line's texts. Greedy tokens must be as good as the best; random ones as likely as they should be.

    The reference scores each text in one forward pass over all of it, so it shares neither cache, kernels, batches nor
    steps with the engine. The head is computed in float32.
    """
    device = torch.device("cpu" if platform == "cpu" else "cuda")
    with torch.inference_mode():
        model = _reference(config, RandomWeights(seed, device), device, dtype, rounded)
        return {work: _score(model, some) for work, some in texts.items()}


def _reference(
    config: Mapping[str, Any],
    weights: RandomWeights,
    device: torch.device,
    dtype: str,
    rounded: RoundedBy | None,
) -> Any:
    model_class = getattr(transformers, config["architectures"][0])
    spelled = {key: value for key, value in config.items() if key != "dtype"}
    with device:
        make: Any = transformers.AutoModelForCausalLM.from_config
        made = make(
            model_class.config_class(**spelled),
            dtype=torch_dtype(parse_dtype(dtype)),
            attn_implementation="sdpa",
        )
    for name, parameter in made.named_parameters():
        module, _, kind = name.removeprefix("model.").rpartition(".")
        if module.endswith("norm"):
            parameter.fill_(1.0)
        else:
            name = _module(module)
            if rounded is not None and name.startswith("layers.") and kind == "weight":
                parameter.copy_(_rounded(rounded, weights, name, tuple(parameter.shape), device))
            else:
                parameter.copy_(weights.read(name, kind, tuple(parameter.shape)))
    return made.to(device).eval()


def _rounded(
    rounded: RoundedBy,
    weights: RandomWeights,
    name: str,
    shape: tuple[int, ...],
    device: torch.device,
) -> Tensor:
    """What the codes of a compact scheme stand for."""
    (entry,) = entry_points(group=f"{KIND}.v1", name=rounded.scheme)
    part = LinearPart(name=name, in_size=shape[1], out_size=shape[0], split="none")
    shard = WeightShard(weights, 0, 1, device, torch.float32, rounded.config)
    weight_OI: Tensor = entry.load()().load(part, shard).dequantise()
    return weight_OI


def _module(name: str) -> str:
    """`layers.3.self_attn.q_proj` is layers.3.mixer.q."""
    head, _, rest = name.partition(".")
    index, _, rest = rest.partition(".")
    known = _MODULES.get(rest or head)
    if known is None:
        raise ConfigError(f"no random weights are known for {name}; has: {', '.join(_MODULES)}")
    return f"layers.{index}.{known}" if rest else known


def _score(model: Any, texts: Sequence[ProducedText]) -> Score:
    margins: list[Tensor] = []
    surprises: list[Tensor] = []
    spread = []
    for text in texts:
        for logits_PV, token_ids_P in _logits(model, text):
            own_P = logits_PV.gather(-1, token_ids_P[:, None])[:, 0]
            if text.temperature > 0:
                surprises.append(_surprise(logits_PV / text.temperature, token_ids_P))
            else:
                margins.append(logits_PV.amax(-1) - own_P)
                spread.append(logits_PV.std().item())
    reference = f"transformers {transformers.__version__}"
    counts = {"num_texts": len(texts), "num_tokens": sum(len(text.output) for text in texts)}
    if margins:
        margin_P = torch.cat(margins)
        return Score(
            reference=reference,
            **counts,
            margin=round(margin_P.amax().item(), 5),
            margin_limit=round(_MARGIN * statistics.mean(spread), 5),
            exact=round((margin_P == 0).double().mean().item(), 5),
        )
    surprise_P = torch.cat(surprises).double()
    deviation = surprise_P.mean() / surprise_P.std() * len(surprise_P) ** 0.5
    return Score(
        reference=reference,
        **counts,
        deviation=round(deviation.item(), 3),
        deviation_limit=_DEVIATION,
    )


def _logits(model: Any, text: ProducedText) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits in float32 and the token that was drawn from each."""
    head_VE = model.get_output_embeddings().weight
    tokens = torch.tensor([*text.prompt, *text.output], device=head_VE.device)
    hidden_TE = model.model(tokens[None, :-1], use_cache=False).last_hidden_state[0]
    hidden_PE = hidden_TE[len(text.prompt) - 1 :].float()
    wide_VE = head_VE.float()
    drawn_P = tokens[len(text.prompt) :]
    for hidden, drawn in zip(
        torch.split(hidden_PE, _CHUNK), torch.split(drawn_P, _CHUNK), strict=True
    ):
        yield hidden @ wide_VE.T, drawn


def _surprise(logits_PV: Tensor, token_ids_P: Tensor) -> Tensor:
    """Log probability of each drawn token less its expectation, which is 0 in the mean for right draws."""
    logprobs_PV = logits_PV.log_softmax(-1)
    own_P = logprobs_PV.gather(-1, token_ids_P[:, None])[:, 0]
    return own_P - (logprobs_PV.exp() * logprobs_PV).sum(-1)
