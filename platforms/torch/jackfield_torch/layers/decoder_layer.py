"""One layer of a decoder, and how it is made from its spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import (
    Attention,
    LatentAttention,
    Layer,
    Mamba2,
    ParallelMixers,
    Rope,
)
from jackfield.model_spec import Norm as NormSpec
from jackfield_torch.interfaces.kernels import HeadFacts
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.layers.alibi import Alibi, alibi_slopes
from jackfield_torch.layers.attention import (
    AttentionMixer,
    FusedHeads,
    RotateBy,
    RotateHeads,
    SharedCacheMixer,
    StepInputs,
    in_order,
    no_rotation,
)
from jackfield_torch.layers.compose import Clip, Multiply, TensorFunction, chain, identity
from jackfield_torch.layers.feed_forward import FeedForwardBranch, FeedForwardBuilder
from jackfield_torch.layers.linear_builder import LinearBuilder
from jackfield_torch.layers.mixers import (
    AddedMixers,
    MixerParts,
    build_delta_net,
    build_latent,
    build_mamba2,
)
from jackfield_torch.layers.narrow import NarrowLayer, narrow_layer
from jackfield_torch.layers.norm import HeadNorms, Norm, NormBuilder
from jackfield_torch.layers.post_norm import PostNormLayer
from jackfield_torch.layers.temperature import Tempered
from jackfield_torch.linear_groups import stored_settings
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import WeightShard
from jackfield_torch.rope import build_rotate
from jackfield_torch.settings import heads_of_rank

Mixer = Callable[[Tensor, StepInputs], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderLayer:
    """Two branches that add to the residual stream. Parts that a spec leaves out are the identity."""

    mixer_norm: Norm
    mixer: Mixer
    after_mixer: TensorFunction  # sum over ranks, post norm, scale
    feed_forward_norm: Norm
    feed_forward: FeedForwardBranch | None  # None: the layer has a mixer only
    after_feed_forward: TensorFunction
    parallel: bool = False  # True: both branches read x
    shares_norm: bool = False  # with `parallel`: the feed-forward reads the mixer's input
    narrow: NarrowLayer | None = None  # replaces all of the above for steps of few tokens

    def __call__(self, x_TE: Tensor, branch_TE: Tensor | None, step: StepInputs) -> Tensor | None:
        """Add `branch_TE`, the last branch of the layer before, and the layer's own first branch to `x_TE` in place.

        Returns the layer's last branch: the code that adds it computes a norm in the same pass. None: it is added
        already.
        """
        if self.narrow is not None and self.narrow.takes(x_TE, step):
            return self.narrow(x_TE, branch_TE, step)
        if self.parallel:
            return self._both(x_TE, branch_TE, step)
        mixed_TE = self.after_mixer(self.mixer(self.mixer_norm.after(x_TE, branch_TE), step))
        if self.feed_forward is None:
            return mixed_TE
        normed_TE = self.feed_forward_norm.after(x_TE, mixed_TE)
        return self.after_feed_forward(self.feed_forward(normed_TE, step))

    def _both(self, x_TE: Tensor, branch_TE: Tensor | None, step: StepInputs) -> Tensor:
        assert self.feed_forward is not None, "two branches are parallel"
        normed_TE = self.mixer_norm.after(x_TE, branch_TE)
        other_TE = normed_TE if self.shares_norm else self.feed_forward_norm(x_TE)
        mixed_TE = self.after_mixer(self.mixer(normed_TE, step))
        return mixed_TE + self.after_feed_forward(self.feed_forward(other_TE, step))


class LayerBuilder:
    """Builds the layers of one model on one rank."""

    def __init__(
        self,
        context: LoadContext,
        norms: NormBuilder,
        shard: WeightShard,
        rope_indices: Mapping[Rope, int],
    ) -> None:
        spec, group, kernels = context.spec, context.ranks, context.kernels
        self._spec = spec
        self._hidden_size = spec.hidden_size
        self._norms = norms
        self._kernels = kernels
        self._shard = shard
        self._reduce = identity if group.num_ranks == 1 else group.all_reduce
        self._num_ranks = group.num_ranks
        self._rope_indices = rope_indices
        self._linears = LinearBuilder(spec, shard, context.schemes, context.adapters)
        self._parts = MixerParts(self._linears, norms, group.num_ranks, kernels)
        self._feed_forwards = FeedForwardBuilder(
            self._linears, group, kernels, whole_experts=context.whole_experts
        )

    def build(self, index: int, layer: Layer) -> DecoderLayer | PostNormLayer:
        """Read the weights of the layer and bind its parts."""
        if layer.norm_after_sum:
            return self._post_norm(index, layer)
        module = f"layers.{index}"
        built = DecoderLayer(
            mixer_norm=self._norm(layer.mixer_norm, f"{module}.mixer_norm"),
            mixer=self._mixer(index, layer),
            after_mixer=self._after(layer, layer.mixer_post_norm, f"{module}.mixer_post_norm"),
            feed_forward_norm=self._norm(layer.feed_forward_norm, f"{module}.feed_forward_norm"),
            feed_forward=None
            if layer.feed_forward is None
            else self._feed_forwards.build(layer.feed_forward, f"{module}.feed_forward"),
            after_feed_forward=self._after(
                layer, layer.feed_forward_post_norm, f"{module}.feed_forward_post_norm"
            ),
            parallel=layer.parallel,
            shares_norm=layer.parallel and layer.feed_forward_norm is None,
        )
        is_plain = built.after_mixer is identity and built.after_feed_forward is identity
        is_cached = layer.mixer.attention is None or layer.mixer.attention.causal
        if layer.parallel or not is_plain or not is_cached:
            return built
        branches = built.mixer_norm, built.mixer, built.feed_forward_norm, built.feed_forward
        return replace(built, narrow=narrow_layer(self._kernels, *branches))

    def _post_norm(self, index: int, layer: Layer) -> PostNormLayer:
        module = f"layers.{index}"
        if layer.feed_forward is None or layer.parallel:
            raise UnsupportedModelError(
                f"layer {index} has norms after its sums; allowed there: a mixer, then a feed-forward"
            )
        return PostNormLayer(
            mixer=self._mixer(index, layer),
            after_mixer=self._after(layer, layer.mixer_post_norm, f"{module}.mixer_post_norm"),
            mixer_norm=self._norm(layer.mixer_norm, f"{module}.mixer_norm"),
            feed_forward=self._feed_forwards.build(layer.feed_forward, f"{module}.feed_forward"),
            after_feed_forward=self._after(
                layer, layer.feed_forward_post_norm, f"{module}.feed_forward_post_norm"
            ),
            feed_forward_norm=self._norm(layer.feed_forward_norm, f"{module}.feed_forward_norm"),
        )

    def _norm(self, norm: NormSpec | None, module: str) -> Norm:
        return self._norms.norm(norm, module, self._hidden_size)

    def _after(self, layer: Layer, norm: NormSpec | None, module: str) -> TensorFunction:
        scale = layer.residual_scale
        return chain(
            self._reduce,
            self._norms.function(norm, module, self._hidden_size),
            Multiply(scale) if scale != 1.0 else identity,
        )

    def _mixer(self, index: int, layer: Layer) -> Mixer:
        mixer, module = layer.mixer, f"layers.{index}.mixer"
        if why := mixer.refuse_ranks(self._num_ranks):
            raise UnsupportedModelError(
                f"{why} of layer {index}; set executor.tensor_parallel to a number that divides both"
            )
        if isinstance(mixer, Attention):
            return self._attention(index, mixer, module, layer.cache_of_layer is not None)
        if isinstance(mixer, ParallelMixers):
            attention = self._attention(index, mixer.attention, f"{module}.attention", False)
            recurrent = build_mamba2(index, mixer.recurrent, f"{module}.recurrent", self._parts)
            return AddedMixers(
                attention, (mixer.attention_in_scale, mixer.attention_out_scale),
                recurrent, (mixer.recurrent_in_scale, mixer.recurrent_out_scale),
            )  # fmt: skip
        if isinstance(mixer, LatentAttention):
            return build_latent(index, mixer, module, self._parts, self._rope_indices[mixer.rope])
        if isinstance(mixer, Mamba2):
            return build_mamba2(index, mixer, module, self._parts)
        return build_delta_net(index, mixer, module, self._parts)

    def _attention(
        self, index: int, attention: Attention, module: str, shares_cache: bool
    ) -> Mixer:
        self._check(index, attention)
        num_heads = heads_of_rank(attention.num_heads, self._num_ranks)
        num_kv_heads = 0 if shares_cache else heads_of_rank(attention.num_kv_heads, self._num_ranks)
        parts = self._input_parts(attention, module)
        linear: TensorFunction = self._linears.build_adapted(parts[:1] if shares_cache else parts)
        if attention.qkv_clip is not None:
            linear = chain(linear, Clip(attention.qkv_clip))
        head_norms = self._norms.head_norms(attention, module, num_heads, num_kv_heads)
        rotate = self._rotate(attention)
        turn = in_order(head_norms, rotate, norms_last=attention.norm_after_rope)
        if attention.temperature is not None:
            turn = Tempered(turn, attention.temperature, num_heads)
        out = self._linears.adapted_row(
            f"{module}.o", attention.num_heads * attention.head_size, attention.out_bias
        )
        if shares_cache:
            return SharedCacheMixer(
                layer=index,
                head_size=attention.head_size,
                q=linear,
                turn=turn,
                out=out,
            )
        return AttentionMixer(
            layer=index,
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_size=attention.head_size,
            qkv=linear,
            turn=turn,
            out=out,
            alibi=self._alibi(attention),
            # Such a kernel writes keys and values itself, and does not support the scales of a float8 cache.
            fused=None
            if f"{module}.k_scale" in self._spec.modules
            else self._fused_heads(attention, head_norms, num_heads, num_kv_heads),
            has_gate=attention.out_gate,
        )

    def _fused_heads(
        self, attention: Attention, head_norms: TensorFunction, num_heads: int, num_kv_heads: int
    ) -> FusedHeads | None:
        norms = head_norms if isinstance(head_norms, HeadNorms) else None
        is_plain = norms is not None or head_norms is identity
        is_plain = is_plain and not (attention.norm_after_rope or attention.alibi)
        is_plain = is_plain and attention.temperature is None
        if attention.rope is None or not is_plain or attention.out_gate:
            return None
        kernel = self._kernels.head_kernel(
            HeadFacts(
                num_heads=num_heads,
                num_kv_heads=num_kv_heads,
                head_size=attention.head_size,
                norm_weight_MH=norms.weight_MH if norms else None,
                norm_epsilon=norms.epsilon if norms else 0.0,
                rotary_size=attention.rope.rotary_size,
                interleaved=attention.rope.interleaved,
            )
        )
        return kernel and FusedHeads(kernel, self._rope_indices[attention.rope])

    def _input_parts(self, attention: Attention, module: str) -> list[LinearPart]:
        kv_heads = attention.num_kv_heads
        copies = max(1, self._num_ranks // kv_heads)
        return [
            LinearPart(
                name=f"{module}.{name}",
                in_size=self._hidden_size,
                out_size=heads * attention.head_size,
                bias=attention.qkv_bias,
                copies=shared,
                settings=stored_settings(self._spec, f"{module}.{name}"),
            )
            for name, heads, shared in (
                ("q", attention.num_heads, 1),
                ("k", kv_heads, copies),
                ("v", kv_heads, copies),
                ("gate", attention.num_heads if attention.out_gate else 0, 1),
            )
            if heads
        ]

    def _alibi(self, attention: Attention) -> Alibi | None:
        if not attention.alibi:
            return None
        slopes_N = self._shard.cut(alibi_slopes(attention.num_heads), 0).to(self._shard.device)
        return Alibi(slopes_N, attention.scale, self._shard.dtype)

    def _rotate(self, attention: Attention) -> RotateHeads:
        if attention.rope is None:
            return no_rotation
        rotate = build_rotate(attention.rope, attention.head_size)
        return RotateBy(rotate, self._rope_indices[attention.rope])

    def _check(self, index: int, attention: Attention) -> None:
        if self._num_ranks > 1 and (attention.joint_norms or attention.head_weights):
            raise UnsupportedModelError(
                f"the norms over heads of layer {index} cannot be shared out; set executor.tensor_parallel to 1"
            )
