"""The shapes on which accelerators are measured, their least cost, and the time of vLLM for the same work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

READ_BYTES_PER_S = 4.66e12  # measured on an H200 with a sum of 8 GiB
FLOP_PER_S = 700e12  # measured on the same card with a library's bfloat16 product
_ITEMSIZE = 2  # bytes, bfloat16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """How a scheme rounds in the benchmark, and the least cost of that."""

    options: Mapping[str, str]  # settings, in the form of the command line
    weight_bytes: float
    flop_per_s: float


QUANTIZED = {
    "int4": Rounding(
        options={"options.int4.group_size": "128", "options.int4.symmetric": "true"},
        weight_bytes=0.5 + 2 / 128,
        flop_per_s=FLOP_PER_S,
    ),
    "fp8": Rounding(
        options={"options.fp8.rounds_inputs": "true"}, weight_bytes=1.0, flop_per_s=1_420e12
    ),
}


# The layers that have such a matrix, its elements, how many of its kind are read, and how many a token is multiplied with.
Matrix = tuple[int, int, float, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder with grouped heads and a gated feed-forward block, or several of them as experts."""

    name: str
    architecture: str
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    feed_forward_size: int
    vocab_size: int
    extra: Mapping[str, Any]  # further keys of config.json
    peer: Mapping[str, float]  # vLLM 0.23.0 on one H200: milliseconds, or tokens a second
    # The same with quantized linears and the best of vLLM's kernels for each line, by our scheme.
    quantized_peers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    num_checked: int = 32  # requests of a line whose outputs are scored
    num_experts: int = 0  # in each layer, each of `feed_forward_size`; 0: no mixture
    experts_of_token: int = 1
    weight_bytes: float = _ITEMSIZE  # bytes of a weight of the layers, with scales
    flop_per_s: float = FLOP_PER_S  # operations a second of the layers' products

    @property
    def config(self) -> dict[str, Any]:
        """The content of config.json."""
        return {
            "architectures": [self.architecture],
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "head_dim": self.head_size,
            "intermediate_size": self.feed_forward_size,
            "vocab_size": self.vocab_size,
            "hidden_act": "silu",
            "initializer_range": 0.02,
            "dtype": "bfloat16",
            **self.extra,
        }

    def quantized(self, scheme: str) -> Shape:
        """The shape with the layers' linears rounded by a scheme of QUANTIZED."""
        rounding = QUANTIZED[scheme]
        return replace(
            self,
            name=f"{self.name} {scheme}",
            peer=self.quantized_peers.get(scheme, {}),
            weight_bytes=rounding.weight_bytes,
            flop_per_s=rounding.flop_per_s,
        )

    @property
    def cache_bytes(self) -> int:
        """Bytes of one token: keys and values of all layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_size * _ITEMSIZE

    def step_floor_s(self, num_tokens: int, num_logits: int, context: float) -> float:
        """Least seconds of a step, which reads all weights once and `context` tokens of the cache.

        A matrix takes the larger of the times for its bytes and for its operations. Of the experts, as many are read
        as tokens that choose at random would need.
        """
        products = sum(
            layers
            * max(
                self.weight_bytes * size * read / READ_BYTES_PER_S,
                2 * size * used * num_tokens / self.flop_per_s,
            )
            for layers, size, read, used in self._matrices(num_tokens)
        )
        head = self.hidden_size * self.vocab_size
        products += max(_ITEMSIZE * head / READ_BYTES_PER_S, 2 * head * num_logits / FLOP_PER_S)
        return products + context * self.cache_bytes / READ_BYTES_PER_S

    def prompt_attention_s(self, num_tokens: int) -> float:
        """Least seconds for the attention of one prompt over itself."""
        flop = 2 * num_tokens**2 * self.num_heads * self.head_size * self.num_layers
        return flop / FLOP_PER_S

    def _matrices(self, num_tokens: int) -> Iterator[Matrix]:
        """Those of mixers, then those of feed-forward blocks."""
        heads = self.num_heads * self.head_size
        into = self.hidden_size * (self.num_heads + 2 * self.num_kv_heads) * self.head_size
        yield self.num_layers, into, 1, 1
        yield self.num_layers, heads * self.hidden_size, 1, 1
        yield from self._feed_forwards(self.num_layers, num_tokens)

    def _feed_forwards(self, num_layers: int, num_tokens: int) -> Iterator[Matrix]:
        """Gate and up, and down; of experts, as many are read as tokens choose at random."""
        up, read, used = self.hidden_size * self.feed_forward_size, 1.0, 1
        if self.num_experts:
            used = self.experts_of_token
            missed = (1 - used / self.num_experts) ** num_tokens
            read = self.num_experts * (1 - missed)
        yield num_layers, 2 * up, read, used
        yield num_layers, up, read, used


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentShape(Shape):
    """A decoder with latent attention, whose first layer has a plain feed-forward block, and the others shared experts too."""

    latent_size: int
    rotary_size: int
    dense_size: int  # of the plain feed-forward block
    shared_size: int  # of the shared experts together

    @property
    def cache_bytes(self) -> int:
        """Bytes of one token: one latent vector and its rotated elements in all layers."""
        return self.num_layers * (self.latent_size + self.rotary_size) * _ITEMSIZE

    def prompt_attention_s(self, num_tokens: int) -> float:
        """Least seconds for the attention of one prompt over itself, with keys and values of all heads."""
        elements = 2 * self.head_size + self.rotary_size  # of a key and a value
        flop = num_tokens**2 * self.num_heads * elements * self.num_layers
        return flop / FLOP_PER_S

    def _matrices(self, num_tokens: int) -> Iterator[Matrix]:
        layers, heads = self.num_layers, self.num_heads * self.head_size
        queries = heads + self.num_heads * self.rotary_size
        yield layers, self.hidden_size * queries, 1, 1
        yield layers, self.hidden_size * (self.latent_size + self.rotary_size), 1, 1
        yield layers, self.latent_size * 2 * heads, 1, 1
        yield layers, heads * self.hidden_size, 1, 1
        yield 1, 3 * self.hidden_size * self.dense_size, 1, 1
        yield layers - 1, 3 * self.hidden_size * self.shared_size, 1, 1
        yield from self._feed_forwards(layers - 1, num_tokens)


QWEN3_0_6B = Shape(
    name="qwen3-0.6b",
    architecture="Qwen3ForCausalLM",
    hidden_size=1024,
    num_layers=28,
    num_heads=16,
    num_kv_heads=8,
    head_size=128,
    feed_forward_size=3072,
    vocab_size=151_936,
    extra={
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "max_position_embeddings": 40_960,
        "tie_word_embeddings": True,
    },
    peer={
        "decode_bs1": 1.71,
        "ttft_4k": 21.2,
        "decode_bs32": 2.33,
        "decode_bs128": 3.77,
        "offline": 23_857.0,
    },
)
LLAMA_3_1_8B = Shape(
    name="llama-3.1-8b",
    architecture="LlamaForCausalLM",
    hidden_size=4096,
    num_layers=32,
    num_heads=32,
    num_kv_heads=8,
    head_size=128,
    feed_forward_size=14_336,
    vocab_size=128_256,
    extra={
        "rms_norm_eps": 1e-5,
        "rope_theta": 500_000.0,
        "max_position_embeddings": 131_072,
        "tie_word_embeddings": False,
    },
    peer={
        "decode_bs1": 4.85,
        "ttft_4k": 98.6,
        "decode_bs32": 5.46,
        "decode_bs128": 7.28,
        "offline": 10_128.0,
    },
    quantized_peers={
        "fp8": {
            "decode_bs1": 3.49,
            "ttft_4k": 64.8,
            "decode_bs32": 4.54,
            "decode_bs128": 5.95,
            "offline": 12_303.0,
        },
        "int4": {
            "decode_bs1": 3.29,
            "ttft_4k": 106.2,
            "decode_bs32": 4.32,
            "decode_bs128": 7.43,
            "offline": 9_647.0,
        },
    },
)
QWEN3_30B_A3B = Shape(
    name="qwen3-30b-a3b",
    architecture="Qwen3MoeForCausalLM",
    hidden_size=2048,
    num_layers=48,
    num_heads=32,
    num_kv_heads=4,
    head_size=128,
    feed_forward_size=768,
    num_experts=128,
    experts_of_token=8,
    num_checked=4,  # few, because the reference runs one expert after another
    vocab_size=151_936,
    extra={
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "max_position_embeddings": 40_960,
        "tie_word_embeddings": False,
        "moe_intermediate_size": 768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "norm_topk_prob": True,
    },
    peer={},
)
DEEPSEEK_V2_LITE = LatentShape(
    name="deepseek-v2-lite",
    architecture="DeepseekV2ForCausalLM",
    hidden_size=2048,
    num_layers=27,
    num_heads=16,
    num_kv_heads=16,
    head_size=128,
    latent_size=512,
    rotary_size=64,
    feed_forward_size=1408,
    dense_size=10_944,
    shared_size=2816,
    num_experts=64,
    experts_of_token=6,
    num_checked=2,
    vocab_size=102_400,
    extra={
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
        "max_position_embeddings": 163_840,
        "tie_word_embeddings": False,
        "intermediate_size": 10_944,
        "moe_intermediate_size": 1408,
        "first_k_dense_replace": 1,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "n_group": 1,
        "topk_group": 1,
        "topk_method": "greedy",
        "norm_topk_prob": False,
        "routed_scaling_factor": 1.0,
        "q_lora_rank": None,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "head_dim": 64,  # Transformers takes it for the rotated elements
    },
    peer={},
)
SHAPES = {
    shape.name: shape for shape in (QWEN3_0_6B, LLAMA_3_1_8B, QWEN3_30B_A3B, DEEPSEEK_V2_LITE)
}
DEFAULT_SHAPES = (QWEN3_0_6B.name, LLAMA_3_1_8B.name)
