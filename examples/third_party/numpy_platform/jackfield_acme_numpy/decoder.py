"""The decoder: a model spec turned into arrays and the few functions between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jackfield.discovery.selected import open_checkpoint
from jackfield.interfaces.worker import WorkerContext
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, Norm, Rope

from jackfield_acme_numpy.arrays import Floats, Ints
from jackfield_acme_numpy.attention import PagedAttention
from jackfield_acme_numpy.rope import Turns, frequencies, rotate, turns
from jackfield_acme_numpy.weights import Weights

Function = Callable[[Floats], Floats]
Rotations = dict[Rope, Turns]  # of the tokens of one step


def load_decoder(context: WorkerContext) -> Decoder:
    """Read the model of `context`. Raises ModelError."""
    with open_checkpoint(context) as checkpoint:
        weights = Weights(checkpoint, context.spec, context.config.model.seed)
        return Decoder(context.spec, weights)


class Decoder:
    """All layers, with the embedding before them and the norm and head behind them."""

    def __init__(self, spec: ModelSpec, weights: Weights) -> None:
        size = spec.hidden_size
        table = weights.read("embedding", "weight", spec.vocab_size, size)
        head = table if spec.tied_head else weights.read("head", "weight", spec.vocab_size, size)
        self._spec = spec
        self._table_VE = table
        ropes = {layer.mixer.rope for layer in spec.layers if layer.mixer.rope}
        self._frequencies = {rope: frequencies(rope) for rope in ropes}
        self._layers = [
            _DecoderLayer(index, layer, size, weights) for index, layer in enumerate(spec.layers)
        ]
        self._final_norm = _load_norm(spec.final_norm, "final_norm", size, weights)
        self._head = _Linear(head)

    def forward(self, token_ids_T: Ints, positions_T: Ints, attention: PagedAttention) -> Floats:
        """The hidden states of the tokens of a step. `attention` keeps the keys and values."""
        x_TE = self._table_VE[token_ids_T] * np.float32(self._spec.embedding_scale)
        rotations: Rotations = {
            rope: turns(pairs, positions_T) for rope, pairs in self._frequencies.items()
        }
        for layer in self._layers:
            layer(x_TE, rotations, attention)
        return x_TE

    def logits(self, hidden_SE: Floats) -> Floats:
        """Scores of the whole vocabulary."""
        logits_SV = self._head(self._final_norm(hidden_SE)) * np.float32(self._spec.logit_scale)
        if self._spec.logit_soft_cap:
            cap = np.float32(self._spec.logit_soft_cap)
            logits_SV = np.tanh(logits_SV / cap) * cap
        return logits_SV


class _DecoderLayer:
    """Two branches that add to the residual stream."""

    def __init__(self, index: int, layer: Layer, size: int, weights: Weights) -> None:
        def norm(spec: Norm | None, word: str) -> Function:
            return _load_norm(spec, f"layers.{index}.{word}", size, weights)

        self._mixer_norm = norm(layer.mixer_norm, "mixer_norm")
        assert isinstance(layer.mixer, Attention), "the platform declares no other mixer"
        self._mixer = _Mixer(index, layer.mixer, size, weights)
        self._mixer_post_norm = norm(layer.mixer_post_norm, "mixer_post_norm")
        self._feed_forward_norm = norm(layer.feed_forward_norm, "feed_forward_norm")
        assert isinstance(layer.feed_forward, FeedForward)  # the platform refuses experts
        self._feed_forward = _GatedFeedForward(index, layer.feed_forward, size, weights)
        self._feed_forward_post_norm = norm(layer.feed_forward_post_norm, "feed_forward_post_norm")

    def __call__(self, x_TE: Floats, rotations: Rotations, attention: PagedAttention) -> None:
        """Add both branches to `x_TE` in place."""
        mixed_TE = self._mixer(self._mixer_norm(x_TE), rotations, attention)
        x_TE += self._mixer_post_norm(mixed_TE)
        x_TE += self._feed_forward_post_norm(self._feed_forward(self._feed_forward_norm(x_TE)))


class _Mixer:
    """Projections, norms over heads and the rotation around attention."""

    def __init__(self, layer: int, spec: Attention, size: int, weights: Weights) -> None:
        module = f"layers.{layer}.mixer"
        self._layer, self._spec = layer, spec
        q_size, kv_size = spec.num_heads * spec.head_size, spec.num_kv_heads * spec.head_size
        self._q = _load_linear(weights, f"{module}.q", q_size, size, spec.qkv_bias)
        self._k = _load_linear(weights, f"{module}.k", kv_size, size, spec.qkv_bias)
        self._v = _load_linear(weights, f"{module}.v", kv_size, size, spec.qkv_bias)
        self._o = _load_linear(weights, f"{module}.o", size, q_size, spec.out_bias)
        self._q_norm = _load_norm(spec.q_norm, f"{module}.q_norm", spec.head_size, weights)
        self._k_norm = _load_norm(spec.k_norm, f"{module}.k_norm", spec.head_size, weights)

    def __call__(self, x_TE: Floats, rotations: Rotations, attention: PagedAttention) -> Floats:
        spec, num_tokens = self._spec, len(x_TE)
        kv_shape = (num_tokens, spec.num_kv_heads, spec.head_size)
        q_TNH = self._q_norm(self._q(x_TE).reshape(num_tokens, spec.num_heads, spec.head_size))
        k_TKH = self._k_norm(self._k(x_TE).reshape(kv_shape))
        if spec.rope:
            q_TNH, k_TKH = (rotate(x, rotations[spec.rope]) for x in (q_TNH, k_TKH))
        v_TKH = self._v(x_TE).reshape(kv_shape)
        o_TNH = attention.attend(self._layer, spec, q_TNH, k_TKH, v_TKH)
        return self._o(o_TNH.reshape(num_tokens, spec.num_heads * spec.head_size))


class _GatedFeedForward:
    """down(activation(gate(x)) * up(x))."""

    def __init__(self, layer: int, spec: FeedForward, size: int, weights: Weights) -> None:
        module = f"layers.{layer}.feed_forward"
        self._activation = _ACTIVATIONS[spec.activation]
        self._gate = _load_linear(weights, f"{module}.gate", spec.size, size, spec.bias)
        self._up = _load_linear(weights, f"{module}.up", spec.size, size, spec.bias)
        self._down = _load_linear(weights, f"{module}.down", size, spec.size, spec.bias)

    def __call__(self, x_TE: Floats) -> Floats:
        return self._down(self._activation(self._gate(x_TE)) * self._up(x_TE))


@dataclass(frozen=True, slots=True)
class _Linear:
    weight_OI: Floats
    bias_O: Floats | None = None

    def __call__(self, x: Floats) -> Floats:
        y: Floats = x @ self.weight_OI.T
        return y if self.bias_O is None else y + self.bias_O


@dataclass(frozen=True, slots=True)
class _RmsNorm:
    """Zhang and Sennrich 2019, over the last axis."""

    gain: Floats
    epsilon: np.float32

    def __call__(self, x: Floats) -> Floats:
        mean = np.square(x).mean(-1, keepdims=True)
        y: Floats = x / np.sqrt(mean + self.epsilon) * self.gain
        return y


def _load_linear(weights: Weights, module: str, out_size: int, in_size: int, bias: bool) -> _Linear:
    weight_OI = weights.read(module, "weight", out_size, in_size)
    return _Linear(weight_OI, weights.read(module, "bias", out_size) if bias else None)


def _load_norm(norm: Norm | None, module: str, size: int, weights: Weights) -> Function:
    if norm is None:
        return lambda x: x
    stored = weights.read(module, "weight", size, neutral=1 - norm.weight_offset)
    return _RmsNorm(stored + np.float32(norm.weight_offset), np.float32(norm.epsilon))


def _silu(x: Floats) -> Floats:
    y: Floats = x / (1 + np.exp(-x))
    return y


def _gelu_tanh(x: Floats) -> Floats:
    """Hendrycks and Gimpel 2016."""
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + 0.044715 * x**3)
    y: Floats = 0.5 * x * (1 + np.tanh(inner))
    return y


_ACTIVATIONS: dict[str, Function] = {"silu": _silu, "gelu_tanh": _gelu_tanh}
