"""The features of model specs and of sampling that the torch runtime computes. Imports no torch: cards declare them.

A spec with a feature that is not listed here is refused before anything is loaded. Every listed feature has an oracle
or an equivalence in tests/oracles.
"""

from __future__ import annotations

_NORM = ("kind=layer", "weight_offset", "bias", "weight")
_ROPE = ("scaling", "interleaved")
_ROPE_SCALING = (
    "kind=dynamic",
    "kind=llama3",
    "kind=yarn",
    "kind=longrope",
    "original_length",
    "low_frequency",
    "high_frequency",
    "beta_fast",
    "beta_slow",
    "attention_factor",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "short_factors",
    "long_factors",
)
_ATTENTION = (
    "rope",
    "window",
    "chunk_size",
    "temperature",
    "soft_cap",
    "qkv_bias",
    "out_bias",
    "q_norm",
    "k_norm",
    "sinks",
    "relative_bias",
    "joint_norms",
    "head_weights",
    "norm_after_rope",
    "qkv_clip",
    "out_gate",
    "alibi",
    "causal",
)
_FEED_FORWARD = (
    "activation=gelu",
    "activation=gelu_tanh",
    "activation=gelu_sigmoid",
    "activation=relu",
    "activation=relu_squared",
    "gated",
    "bias",
    "clip",
    "up_offset",
    "gate_scale",
    "out_scale",
)
_ROUTER = (
    "scoring=sigmoid",
    "scoring=sparse_mixer",
    "renormalise",
    "choice_bias",
    "bias",
    "scale",
    "scales_inputs",
    "num_groups",
    "top_groups",
    "group_score=top2",
    "jitter",
)
_EXPERTS = ("shared", "shared_gate")
_LAYER = (
    "mixer=latent_attention",
    "mixer=mamba2",
    "mixer=gated_delta_net",
    "mixer=parallel_mixers",
    "feed_forward=experts",
    "mixer_post_norm",
    "feed_forward_post_norm",
    "residual_scale",
    "cache_of_layer",
    "parallel",
    "norm_after_sum",
)
_MODEL = (
    "tied_head",
    "learned_positions",
    "position_offset",
    "embedding_scale",
    "embedding_norm",
    "logit_scale",
    "logit_soft_cap",
    "head_bias",
    "has_head",
    "segments",
    "classifier",
    "quantization",
    "foreign",
)
_FOREIGN = ("runtime=jackfield_torch",)
_LATENT_ATTENTION = ("query_latent_size", "query_norm", "bias")
_MAMBA2 = (
    "conv_bias",
    "in_bias",
    "out_bias",
    "norm_before_gate",
    "min_step",
    "max_step",
    "scales",
)
_PARALLEL_MIXERS = (
    "recurrent=mamba2",
    "attention_in_scale",
    "attention_out_scale",
    "recurrent_in_scale",
    "recurrent_out_scale",
)
_CLASSIFIER = (
    "dense",
    "dense_bias",
    "activation=tanh",
    *(name for name in _FEED_FORWARD if name.startswith("activation=")),
    "activation=silu",
    "norm",
    "bias",
    "scoring=sigmoid",
    "scoring=none",
)
_QUANTIZATION = ("cache_dtype",)
_WORDS = {
    "classifier": _CLASSIFIER,
    "latent_attention": _LATENT_ATTENTION,
    "mamba2": _MAMBA2,
    "parallel_mixers": _PARALLEL_MIXERS,
    "norm": _NORM,
    "rope": _ROPE,
    "rope_scaling": _ROPE_SCALING,
    "attention": _ATTENTION,
    "feed_forward": _FEED_FORWARD,
    "router": _ROUTER,
    "experts": _EXPERTS,
    "layer": _LAYER,
    "model": _MODEL,
    "quantization": _QUANTIZATION,
    "foreign": _FOREIGN,
}

_SAMPLING = (
    "min_tokens",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "allowed_token_ids",
    "bad_words",
    "logits_processors",
    "logprobs",
    "prompt_logprobs",
    "structured",
)
_POOLING = (
    "kind=last",
    "kind=mean",
    "kind=cls",
    "normalize",
    "dimensions",
    "output=classes",
    "token_ids",
    "activation",
    "dense",
)
POOLING_FEATURES: frozenset[str] = frozenset(
    {"request.pooling", *(f"pooling.{name}" for name in _POOLING)}
    | {"dense.bias", "dense.activation=tanh"}
    | {f"dense.{name}" for name in _CLASSIFIER if name.startswith("activation=")}
)
SAMPLING_FEATURES: frozenset[str] = frozenset(f"sampling.{name}" for name in _SAMPLING)
MODEL_FEATURES: frozenset[str] = frozenset(
    f"{word}.{name}" for word, names in _WORDS.items() for name in names
)
