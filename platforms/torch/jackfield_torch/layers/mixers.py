"""Makes mixers from their specs, except attention with keys and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield.model_spec import GatedDeltaNet, LatentAttention, Mamba2
from jackfield_torch.interfaces.kernels import Kernels, LatentFacts
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.layers.attention import RotateBy, StepInputs
from jackfield_torch.layers.compose import TensorFunction
from jackfield_torch.layers.delta_net import DeltaRule
from jackfield_torch.layers.latent import FusedLatent, LatentMixer
from jackfield_torch.layers.linear_builder import LinearBuilder
from jackfield_torch.layers.mamba2 import StateSpace
from jackfield_torch.layers.norm import NormBuilder, RmsNorm
from jackfield_torch.layers.recurrent import Convolution, RecurrentMixer
from jackfield_torch.rope import build_rotate


@dataclass(frozen=True, slots=True)
class MixerParts:
    """Makes the parts of mixers on one rank."""

    linears: LinearBuilder
    norms: NormBuilder
    num_ranks: int
    kernels: Kernels

    def inputs(self, module: str, sizes: dict[str, int], bias: bool) -> list[LinearPart]:
        """Linears of the hidden state, by name and number of outputs on all ranks."""
        size = self.linears.hidden_size
        return [
            self.linears.part(f"{module}.{name}", size, outputs, bias)
            for name, outputs in sizes.items()
        ]

    def vector(self, module: str, size: int) -> Tensor:
        """This rank's part of a tensor with an element for each head; float32."""
        shard = self.linears.shard
        return shard.cut(shard.whole(module, "", (size,)), 0)

    def convolution(
        self, module: str, sizes: tuple[int, ...], taps: int, bias: bool
    ) -> Convolution:
        """This rank's channels of each part. Sizes are those on all ranks."""
        shard, channels = self.linears.shard, sum(sizes)
        weight_C1W = shard.whole(module, "weight", (channels, 1, taps))
        bias_C = shard.whole(module, "bias", (channels,)) if bias else None

        def cut(whole: Tensor) -> Tensor:
            return torch.cat([shard.cut(part, 0) for part in torch.split(whole, list(sizes))])

        return Convolution(cut(weight_C1W), None if bias_C is None else cut(bias_C))


class ScaledOutputs:
    """A linear with a factor for each output."""

    def __init__(self, linear: Linear, factors_O: Tensor) -> None:
        self._linear, self._factors_O = linear, factors_O

    def __call__(self, x_TE: Tensor) -> Tensor:
        return self._linear(x_TE) * self._factors_O


class AddedMixers:
    """Two mixers over one input, each with a factor for its input and one for its output."""

    def __init__(
        self,
        first: Callable[[Tensor, StepInputs], Tensor],
        first_scales: tuple[float, float],
        second: Callable[[Tensor, StepInputs], Tensor],
        second_scales: tuple[float, float],
    ) -> None:
        self._both = ((first, *first_scales), (second, *second_scales))

    def __call__(self, x_TE: Tensor, step: StepInputs) -> Tensor:
        """This rank's share of the sum."""
        (first, before, after), (second, second_before, second_after) = self._both
        y_TE = first(x_TE * before, step) * after
        return y_TE + second(x_TE * second_before, step) * second_after


def build_latent(
    layer: int, spec: LatentAttention, module: str, parts: MixerParts, rope_index: int
) -> LatentMixer:
    """Latent attention. Applying `kv_b` to the unit vectors gives the matrix for keys and values."""
    linears, norms = parts.linears, parts.norms
    size, latent, rotated = linears.hidden_size, spec.latent_size, spec.rope.rotary_size
    queries = spec.num_heads * (spec.head_size + rotated)
    kv_a = linears.part(f"{module}.kv_a", size, latent + rotated, spec.bias, split="none")
    query_norm = q_b = None
    if spec.query_latent_size is None:
        inputs: tuple[Linear, ...] = (
            linears.build([linears.part(f"{module}.q", size, queries)]),
            linears.build([kv_a]),
        )
    else:
        between = spec.query_latent_size
        q_a = linears.part(f"{module}.q_a", size, between, spec.bias, split="none")
        inputs = (linears.build([q_a, kv_a]),)
        query_norm = norms.function(spec.query_norm, f"{module}.q_norm", between)
        q_b = linears.build([linears.part(f"{module}.q_b", between, queries)])
    outputs = spec.num_heads * (spec.head_size + spec.value_size)
    kv_b = linears.build([linears.part(f"{module}.kv_b", latent, outputs)])
    units_CC = torch.eye(latent, device=linears.shard.device, dtype=linears.shard.dtype)
    num_heads = spec.num_heads // parts.num_ranks
    latent_norm = norms.function(spec.latent_norm, f"{module}.latent_norm", latent)
    return LatentMixer(
        layer=layer,
        spec=spec,
        num_heads=num_heads,
        inputs=inputs,
        query_norm=query_norm,
        q_b=q_b,
        latent_norm=latent_norm,
        expand_CNX=torch.unflatten(kv_b(units_CC), 1, (num_heads, -1)).contiguous(),
        rotate=RotateBy(build_rotate(spec.rope, rotated), rope_index),
        out=linears.row(f"{module}.o", spec.num_heads * spec.value_size, spec.bias),
        fused=_fused_latent(spec, latent_norm, parts.kernels, rope_index),
    )


def _fused_latent(
    spec: LatentAttention, norm: TensorFunction, kernels: Kernels, rope_index: int
) -> FusedLatent | None:
    if not isinstance(norm, RmsNorm):
        return None
    kernel = kernels.latent_kernel(
        LatentFacts(
            head_size=spec.head_size,
            latent_size=spec.latent_size,
            rotary_size=spec.rope.rotary_size,
            norm_weight_C=norm.weight_E,
            norm_epsilon=norm.epsilon,
            interleaved=spec.rope.interleaved,
        )
    )
    return kernel and FusedLatent(kernel, rope_index)


def build_mamba2(layer: int, spec: Mamba2, module: str, parts: MixerParts) -> RecurrentMixer:
    """A state space."""
    states = spec.num_groups * spec.state_size
    sizes = {"x": spec.size, "b": states, "c": states, "z": spec.size, "dt": spec.num_heads}
    inputs = parts.linears.build(parts.inputs(module, sizes, spec.in_bias))
    ranks = parts.num_ranks
    weight_Y = None
    if spec.norm is not None:
        shard = parts.linears.shard
        weight_Y = shard.cut(shard.whole(f"{module}.norm", "weight", (spec.size,)), 0)
    scales = dict(zip(("z", "x", "b", "c", "dt"), spec.scales, strict=True))
    factors = None
    if set(spec.scales) != {1.0}:
        each = [torch.full((size // ranks,), scales[name]) for name, size in sizes.items()]
        factors = torch.cat(each).to(parts.linears.shard.device, parts.linears.shard.dtype)
    return RecurrentMixer(
        layer=layer,
        inputs=inputs if factors is None else ScaledOutputs(inputs, factors),
        convolution=parts.convolution(
            f"{module}.conv", (spec.size, states, states), spec.conv_size, spec.conv_bias
        ),
        num_channels=spec.conv_channels // ranks,
        recurrence=StateSpace(
            num_heads=spec.num_heads // ranks,
            head_size=spec.head_size,
            num_groups=spec.num_groups // ranks,
            a_log_N=parts.vector(f"{module}.a_log", spec.num_heads),
            d_N=parts.vector(f"{module}.d", spec.num_heads),
            step_bias_N=parts.vector(f"{module}.dt_bias", spec.num_heads),
            min_step=spec.min_step,
            max_step=spec.max_step,
            norm_weight_Y=weight_Y,
            norm_epsilon=spec.norm.epsilon if spec.norm else 0.0,
            norm_before_gate=spec.norm_before_gate,
        ),
        out=parts.linears.row(f"{module}.o", spec.size, spec.out_bias),
    )


def build_delta_net(
    layer: int, spec: GatedDeltaNet, module: str, parts: MixerParts
) -> RecurrentMixer:
    """A gated delta network."""
    keys, values = spec.num_key_heads * spec.key_size, spec.num_heads * spec.value_size
    sizes = {"q": keys, "k": keys, "v": values, "z": values}
    sizes |= {"beta": spec.num_heads, "decay": spec.num_heads}
    ranks = parts.num_ranks
    return RecurrentMixer(
        layer=layer,
        inputs=parts.linears.build(parts.inputs(module, sizes, bias=False)),
        convolution=parts.convolution(
            f"{module}.conv", (keys, keys, values), spec.conv_size, False
        ),
        num_channels=spec.conv_channels // ranks,
        recurrence=DeltaRule(
            num_heads=spec.num_heads // ranks,
            num_key_heads=spec.num_key_heads // ranks,
            key_size=spec.key_size,
            a_log_N=parts.vector(f"{module}.a_log", spec.num_heads),
            step_bias_N=parts.vector(f"{module}.dt_bias", spec.num_heads),
            norm_weight_V=parts.linears.shard.whole(f"{module}.norm", "weight", (spec.value_size,)),
            norm_epsilon=spec.norm.epsilon,
        ),
        out=parts.linears.row(f"{module}.o", values, False),
    )
