"""Scores the texts of an engine with random weights, using Transformers' model with the same weights on the same device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.overrides import TorchFunctionMode

from jackfield.dtypes import parse_dtype
from jackfield.errors import ConfigError
from jackfield_bench.outputs import ProducedText, RoundedBy, Score
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.quantization import KIND, LinearPart
from jackfield_torch.loader import RandomWeights, WeightShard

# Tokens are judged by logits in float32, the exact ones. A second model measures how far a token may be from the best one:
# it computes as the engine does, in the engine's dtype, and rounds inputs if the engine's scheme does.
# The margin of a greedy token is the largest exact logit minus the exact logit of the token.
# Always allowed for the largest and for the mean margin, in standard deviations of the logits.
_LEAST_MARGIN, _LEAST_MEAN = 0.15, 0.01
# Allowed for the largest margin, in standard deviations of the second model's errors.
_MARGIN = 8.0
# Allowed for the mean margin, in mean margins of the tokens that the second model chooses.
_MEAN = 2.0
_FEWEST = 64  # tokens; a mean of fewer says nothing
# Allowed for the mean surprise of random tokens, in its standard deviations.
_DEVIATION = 4.0
# The same, as a share of the shift that the second model's errors cause.
_SHIFT = 0.5
_CHUNK = 256  # number of positions whose logits are in memory at once
_LARGEST_E4M3 = 448.0

_MODULES = {
    "embed_tokens": "embedding",
    "self_attn.q_proj": "mixer.q",
    "self_attn.k_proj": "mixer.k",
    "self_attn.v_proj": "mixer.v",
    "self_attn.o_proj": "mixer.o",
    "self_attn.kv_a_proj_with_mqa": "mixer.kv_a",
    "self_attn.kv_b_proj": "mixer.kv_b",
    "mlp.gate_proj": "feed_forward.gate",
    "mlp.up_proj": "feed_forward.up",
    "mlp.down_proj": "feed_forward.down",
    "mlp.gate": "feed_forward.router",
    "mlp.experts": "feed_forward.experts",
    "mlp.shared_experts.gate_proj": "feed_forward.shared.gate",
    "mlp.shared_experts.up_proj": "feed_forward.shared.up",
    "mlp.shared_experts.down_proj": "feed_forward.shared.down",
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
    """Score the texts of each line of the report.

    Greedy tokens must be the most likely ones, and random tokens must be as likely as their distribution says. The
    reference scores each text in one forward pass, so it shares neither cache, kernels, batches nor steps with the engine.
    """
    device = torch.device("cpu" if platform == "cpu" else "cuda")
    with torch.inference_mode(), _products_in("high"):
        model = _reference(config, RandomWeights(seed, device), device, dtype, rounded)
        like = _Products(rounds=rounded is not None and _rounds_inputs(rounded))
        return {work: _score(model, like, some) for work, some in texts.items()}


def _reference(
    config: Mapping[str, Any],
    weights: RandomWeights,
    device: torch.device,
    dtype: str,
    rounded: RoundedBy | None,
) -> Any:
    model_class = getattr(transformers, config["architectures"][0])
    spelled = {key: value for key, value in config.items() if key != "dtype"}
    made_of = model_class.config_class(**spelled)
    made_of._experts_implementation = "eager"  # the only one that supports every dtype
    with device:
        make: Any = transformers.AutoModelForCausalLM.from_config
        made = make(
            made_of,
            dtype=torch_dtype(parse_dtype(dtype)),
            attn_implementation="sdpa",
        )
    for name, parameter in made.named_parameters():
        module, _, kind = name.removeprefix("model.").rpartition(".")
        if module.endswith("norm"):
            parameter.fill_(1.0)
        else:
            name = _module(module)
            if name.endswith("experts"):
                _fill_experts(parameter, weights, name, kind)
            elif name.endswith("router"):  # routers of the engine are in float32, too
                parameter.data = weights.read(name, kind, tuple(parameter.shape))
            elif rounded is not None and name.startswith("layers.") and kind == "weight":
                parameter.copy_(_rounded(rounded, weights, name, tuple(parameter.shape), device))
            else:
                parameter.copy_(weights.read(name, kind, tuple(parameter.shape)))
    return made.to(device).eval()


def _fill_experts(parameter: Tensor, weights: RandomWeights, name: str, kind: str) -> None:
    """Fill the experts of a layer, [experts, outputs, inputs]. The outputs are those of gate, then those of up."""
    parts = kind.removesuffix("_proj").split("_")
    for expert, matrix_OI in enumerate(parameter):
        for part, piece_OI in zip(parts, matrix_OI.chunk(len(parts)), strict=True):
            piece_OI.copy_(weights.read(f"{name}.{expert}.{part}", "weight", tuple(piece_OI.shape)))


def _rounded(
    rounded: RoundedBy,
    weights: RandomWeights,
    name: str,
    shape: tuple[int, ...],
    device: torch.device,
) -> Tensor:
    """The weight that the codes of a compact scheme represent."""
    (entry,) = entry_points(group=f"{KIND}.v1", name=rounded.scheme)
    part = LinearPart(name=name, in_size=shape[1], out_size=shape[0], split="none")
    shard = WeightShard(weights, 0, 1, device, torch.float32, rounded.config)
    weight_OI: Tensor = entry.load()().load(part, shard).dequantise()
    return weight_OI


def _module(name: str) -> str:
    """The name in a spec: `layers.3.self_attn.q_proj` is layers.3.mixer.q. Raises ConfigError for an unknown name."""
    head, _, rest = name.partition(".")
    index, _, rest = rest.partition(".")
    known = _MODULES.get(rest or head)
    if known is None:
        raise ConfigError(f"no random weights are known for {name}; has: {', '.join(_MODULES)}")
    return f"layers.{index}.{known}" if rest else known


@contextmanager
def _products_in(precision: str) -> Iterator[None]:
    """Set torch's precision for float32 products. "high" has three bits more than bfloat16, and is fast."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _rounds_inputs(rounded: RoundedBy) -> bool:
    """True if the scheme also rounds inputs to float8."""
    options = rounded.config.options.get(rounded.scheme, {})
    return bool(options.get("rounds_inputs", False))


class _Products(TorchFunctionMode):
    """Replaces the products of linears. They run in the wider dtype of input and weight.

    With `rounds`, inputs are rounded to E4M3 first, with one scale for each token.
    """

    def __init__(self, *, rounds: bool = False) -> None:
        super().__init__()
        self._rounds = rounds

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not torch.nn.functional.linear:
            return func(*args, **(kwargs or {}))
        linear: Any = func
        x, weight, *bias = args
        dtype = torch.promote_types(x.dtype, weight.dtype)
        if self._rounds:
            wide = x.float()
            scale = (wide.abs().amax(-1, keepdim=True) / _LARGEST_E4M3).clamp_min(1e-12)
            codes = (wide / scale).clamp(-_LARGEST_E4M3, _LARGEST_E4M3).to(torch.float8_e4m3fn)
            x = codes.float() * scale
        return linear(x.to(dtype), weight.to(dtype), *bias, **(kwargs or {}))


@dataclass(slots=True)
class _Found:
    """Values for each position, of all texts of a line."""

    margins: list[Tensor] = field(default_factory=list)  # margins of greedy tokens
    like_margins: list[Tensor] = field(default_factory=list)  # those of the second model's choices
    surprises: list[Tensor] = field(default_factory=list)  # see _surprise; of random tokens
    shifts: list[Tensor] = field(default_factory=list)  # see _shift; of random tokens
    errors: list[Tensor] = field(default_factory=list)  # standard deviation of the logits' errors
    spreads: list[Tensor] = field(default_factory=list)  # standard deviation of the logits


def _score(model: Any, like: _Products, texts: Sequence[ProducedText]) -> Score:
    found = _Found()
    for text in texts:
        for exact_PV, like_PV, token_ids_P in _logits(model, like, text):
            found.spreads.append(exact_PV.std(-1))
            found.errors.append((like_PV - exact_PV).std(-1))
            if text.temperature > 0:
                exact_PV, like_PV = exact_PV / text.temperature, like_PV / text.temperature
                found.surprises.append(_surprise(exact_PV, token_ids_P))
                found.shifts.append(_shift(exact_PV, like_PV))
            else:
                best_P = exact_PV.amax(-1)
                found.margins.append(best_P - _of(exact_PV, token_ids_P))
                found.like_margins.append(best_P - _of(exact_PV, like_PV.argmax(-1)))
    reference = f"transformers {transformers.__version__}"
    counts = {"num_texts": len(texts), "num_tokens": sum(len(text.output) for text in texts)}
    if found.margins:
        margin_P, spread = torch.cat(found.margins), torch.cat(found.spreads).mean().item()
        error = torch.cat(found.errors).mean().item()
        chosen = torch.cat(found.like_margins).mean().item()
        has_mean = len(margin_P) >= _FEWEST
        return Score(
            reference=reference,
            **counts,
            margin=round(margin_P.amax().item(), 5),
            margin_limit=round(max(_LEAST_MARGIN * spread, _MARGIN * error), 5),
            mean_margin=round(margin_P.mean().item(), 6) if has_mean else None,
            mean_limit=round(_LEAST_MEAN * spread + _MEAN * chosen, 6) if has_mean else None,
            exact=round((margin_P == 0).double().mean().item(), 5),
        )
    surprise_P = torch.cat(found.surprises).double()
    shift = torch.cat(found.shifts).double().mean()
    in_deviations = len(surprise_P) ** 0.5 / surprise_P.std()
    return Score(
        reference=reference,
        **counts,
        deviation=round(((surprise_P.mean() - shift) * in_deviations).item(), 3),
        deviation_limit=round(max(_DEVIATION, _SHIFT * (shift.abs() * in_deviations).item()), 3),
    )


def _logits(
    model: Any, like: _Products, text: ProducedText
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields exact logits, logits of the model that computes as the engine does, and the drawn tokens, in chunks."""
    head_VE = model.get_output_embeddings().weight
    tokens = torch.tensor([*text.prompt, *text.output], device=head_VE.device)
    first = len(text.prompt) - 1
    with like:
        like_PE = model.model(tokens[None, :-1], use_cache=False).last_hidden_state[0, first:]
    inputs = model.get_input_embeddings()(tokens[None, :-1]).float()
    with _Products():
        exact_PE = model.model(inputs_embeds=inputs, use_cache=False).last_hidden_state[0, first:]
    wide_VE = head_VE.float()
    for exact, other, drawn in zip(
        torch.split(exact_PE, _CHUNK),
        torch.split(like_PE.float(), _CHUNK),
        torch.split(tokens[first + 1 :], _CHUNK),
        strict=True,
    ):
        yield exact @ wide_VE.T, other @ wide_VE.T, drawn


def _of(values_PV: Tensor, token_ids_P: Tensor) -> Tensor:
    return values_PV.gather(-1, token_ids_P[:, None])[:, 0]


def _surprise(logits_PV: Tensor, token_ids_P: Tensor) -> Tensor:
    """Log probability of each drawn token minus its expectation. The mean is 0 if the draws are right."""
    logprobs_PV = logits_PV.log_softmax(-1)
    return _of(logprobs_PV, token_ids_P) - (logprobs_PV.exp() * logprobs_PV).sum(-1)


def _shift(logits_PV: Tensor, like_PV: Tensor) -> Tensor:
    """Expected surprise of tokens that are drawn from `like_PV`: how much errors alone shift the mean."""
    logprobs_PV = logits_PV.log_softmax(-1)
    return ((like_PV.softmax(-1) - logprobs_PV.exp()) * logprobs_PV).sum(-1)
