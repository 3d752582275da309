"""A layer for steps of few tokens: four products that include all operations around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from jackfield_torch.interfaces.kernels import Kernels, NarrowProduct, ProductFacts
from jackfield_torch.interfaces.linear import Around, Linear
from jackfield_torch.interfaces.running_adapters import RunningAdapters
from jackfield_torch.layers.adapted import AdaptedLinear
from jackfield_torch.layers.attention import AttentionMixer, FusedHeads, StepInputs
from jackfield_torch.layers.compose import TensorFunction
from jackfield_torch.layers.feed_forward import DenseBranch, FeedForwardBranch
from jackfield_torch.layers.gated import GatedFeedForward
from jackfield_torch.layers.linear import PackedLinear, PlainLinear
from jackfield_torch.layers.norm import NoNorm, Norm, RmsNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowLayer:
    """Two branches that add themselves to the residual stream."""

    layer: int
    head_size: int
    qkv: NarrowProduct  # includes the norm
    heads: FusedHeads
    out: NarrowProduct  # adds its output
    gate_up: NarrowProduct  # includes the norm and the gate
    down: NarrowProduct  # adds its output
    most_tokens: int  # most tokens of a step
    adapters: RunningAdapters | None = None  # these products leave out what adapters add

    def takes(self, x_TE: Tensor, step: StepInputs) -> bool:
        """False if there are too many tokens, if a row has an adapter, or if torch writes the cache."""
        if self.adapters is not None and self.adapters.is_active:
            return False
        return x_TE.shape[0] <= self.most_tokens and step.attention.paged(self.layer) is not None

    def __call__(self, x_TE: Tensor, branch_TE: Tensor | None, step: StepInputs) -> Tensor | None:
        """Add `branch_TE`, the last branch of the layer before, and the branches of this layer to `x_TE` in place.

        Returns the last branch if it is in parts, which are not added yet. `takes` must be true.
        """
        paged = step.attention.paged(self.layer)
        assert paged is not None, "the layer takes the step"
        qkv_TMH = self.qkv.after(x_TE, branch_TE).view(x_TE.shape[0], -1, self.head_size)
        q_TNH = self.heads(qkv_TMH, step, *paged)
        o_TI = step.attention.attend(self.layer, q_TNH, None, None).flatten(1)
        if (mixed := self.out.parts(o_TI)) is None:
            self.out(o_TI, x_TE)
        h_TF = self.gate_up.after(x_TE, mixed)
        if (last := self.down.parts(h_TF)) is None:
            self.down(h_TF, x_TE)
        return last


def narrow_layer(
    kernels: Kernels,
    mixer_norm: Norm,
    mixer: Callable[[Tensor, StepInputs], Tensor],
    feed_forward_norm: Norm,
    branch: FeedForwardBranch | None,
) -> NarrowLayer | None:
    """A layer of these parts, if the kernels have a product for each of them; otherwise None."""
    feed_forward = branch.function if isinstance(branch, DenseBranch) else None
    if not (isinstance(mixer, AttentionMixer) and isinstance(feed_forward, GatedFeedForward)):
        return None
    activation = feed_forward.activation
    qkv = narrow_product(kernels, mixer.qkv, norm=mixer_norm)
    out = narrow_product(kernels, mixer.out)
    gate_up = narrow_product(
        kernels, feed_forward.gate_up, norm=feed_forward_norm, activation=activation
    )
    down = narrow_product(kernels, feed_forward.down)
    if (
        mixer.fused is None
        or mixer.has_gate
        or qkv is None
        or out is None
        or gate_up is None
        or down is None
    ):
        return None
    return NarrowLayer(
        layer=mixer.layer,
        head_size=mixer.head_size,
        qkv=qkv,
        heads=mixer.fused,
        out=out,
        gate_up=gate_up,
        down=down,
        adapters=mixer.out.adapters if isinstance(mixer.out, AdaptedLinear) else None,
        most_tokens=max(product.most_tokens for product in (qkv, out, gate_up, down)),
    )


def narrow_product(
    kernels: Kernels,
    linear: TensorFunction,
    *,
    norm: Norm | None = None,
    activation: str = "",
) -> NarrowProduct | None:
    """A product of a linear, with an RMS norm before it if given: the kernels' for plain weights, otherwise the
    linear's own.

    None: there is none.
    """
    if norm is not None and not isinstance(norm, (RmsNorm, NoNorm)):
        return None
    if isinstance(linear, AdaptedLinear):
        linear = linear.base
    weight_I = norm.weight_E if isinstance(norm, RmsNorm) else None
    epsilon = norm.epsilon if isinstance(norm, RmsNorm) else 0.0
    if not isinstance(linear, (PlainLinear, PackedLinear)):
        around = Around(norm_weight_I=weight_I, norm_epsilon=epsilon, activation=activation)
        return linear.narrow(around) if isinstance(linear, Linear) else None
    return kernels.narrow_product(
        ProductFacts(
            weight_OI=linear.weight_OI,
            bias_O=linear.bias_O,
            norm_weight_I=weight_I,
            norm_epsilon=epsilon,
            activation=activation,
        )
    )
