"""Where AWQ's scales go: into the norm or the linear that gives a linear its inputs. O outputs, I inputs, C channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import Attention, Experts, FeedForward, ModelSpec
from jackfield.model_spec import Norm as NormSpec
from jackfield_quantize.linears import StudiedLinear
from jackfield_quantize.matrices import Grouped, Matrix
from jackfield_quantize.schemes.awq import InputSums, Rounding, find_scale
from jackfield_quantize.stored import StoredModule, find_tensor, read_tensor
from jackfield_quantize.stream import StudiedLayer

_HOMOGENEOUS = ("relu",)  # activations for which f(x / s) = f(x) / s


class Sink(Protocol):
    """The matrices of the layer that are done."""

    matrices: dict[str, Matrix]
    tensors: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class _Site:
    """The origin of inputs: a norm, or the outputs of a linear."""

    module: str  # logical
    channel_I: Tensor  # int64: the channel of each input
    norm: NormSpec | None = None  # None: a linear


class LayerScaling:
    """The scales of one layer."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        spec: ModelSpec,
        layer: StudiedLayer,
        modules: Sequence[StoredModule],
    ) -> None:
        self._checkpoint, self._spec = checkpoint, spec
        self._studied, self._modules = layer, modules
        self._layer = spec.layers[layer.index]
        self._prefix = f"layers.{layer.index}"
        self._of_norms: dict[str, Tensor] = {}  # [C], by norm: two linears may read one norm

    def find(
        self, linear: StudiedLinear, sums: InputSums, rounding: Rounding, made: Sink
    ) -> Tensor:
        """s_I for this linear. The origin of its inputs is divided by it, in `made`."""
        site = self._site(linear)
        if site is None:
            return linear.weight_OI.new_ones(linear.weight_OI.shape[1])
        s_C = self._of_norms.get(site.module)
        if s_C is None:
            weights = [
                other.weight_OI
                for other in self._studied.linears
                if self._shares(other, site, linear)
            ]
            s_C = find_scale(torch.cat(weights), sums, site.channel_I, rounding)
            if site.norm is not None:
                s_C = self._divide_norm(site.module, site.norm, s_C, made)
                self._of_norms[site.module] = s_C
            else:
                self._divide_linear(site.module, s_C, made)
        return s_C[site.channel_I]

    def _shares(self, other: StudiedLinear, site: _Site, linear: StudiedLinear) -> bool:
        found = other is linear or (site.norm is not None and self._site(other))
        return found is True or (isinstance(found, _Site) and found.module == site.module)

    def _site(self, linear: StudiedLinear) -> _Site | None:
        """The origin of the inputs; None if it cannot be divided."""
        name = linear.names[0].removeprefix(f"{self._prefix}.")
        layer, mixer = self._layer, self._layer.mixer
        whole_I = torch.arange(linear.weight_OI.shape[1], device=linear.weight_OI.device)
        if name == "mixer.q":
            return self._norm_site("mixer_norm", layer.mixer_norm, whole_I)
        if name in ("feed_forward.gate", "feed_forward.up"):
            if layer.parallel and layer.feed_forward_norm is None:
                return self._norm_site("mixer_norm", layer.mixer_norm, whole_I)
            return self._norm_site("feed_forward_norm", layer.feed_forward_norm, whole_I)
        if name == "mixer.o" and isinstance(mixer, Attention) and mixer.qkv_clip is None:
            served = mixer.num_heads // mixer.num_kv_heads
            head_I, element_I = whole_I // mixer.head_size, whole_I % mixer.head_size
            channel_I = head_I // served * mixer.head_size + element_I
            return _Site(f"{self._prefix}.mixer.v", channel_I)
        if name.endswith(".down") and _passes_scales(self._forward(name)):
            return _Site(f"{self._prefix}.{name.removesuffix('down')}up", whole_I)
        return None

    def _forward(self, name: str) -> FeedForward | None:
        """The feed-forward to which a linear belongs."""
        forward = self._layer.feed_forward
        if isinstance(forward, Experts):
            return forward.shared if ".shared." in name else forward.expert
        return forward

    def _norm_site(self, name: str, norm: NormSpec | None, whole_I: Tensor) -> _Site | None:
        module = f"{self._prefix}.{name}"
        if norm is None or not norm.weight or self._spec.source(module).transforms:
            return None
        return _Site(module, whole_I, norm)

    def _divide_norm(self, module: str, norm: NormSpec, s_C: Tensor, made: Sink) -> Tensor:
        """The scale rounded so that the stored weights of the norm, in their dtype, are exactly those divided by it."""
        prefix = self._spec.source(module).prefix
        info = find_tensor(self._checkpoint, f"{prefix}.weight")
        assert info is not None, "the norm was read before"
        stored = read_tensor(self._checkpoint, info)
        weight_C = (stored.float() + norm.weight_offset).to(s_C.device)
        divided = (weight_C / s_C - norm.weight_offset).to(stored.dtype)
        exact_C = weight_C / (divided.float() + norm.weight_offset)
        is_usable = exact_C.isfinite() & (exact_C > 0)
        made.tensors[info.name] = torch.where(is_usable, divided, stored.to(s_C.device))
        s_C = torch.where(is_usable, exact_C, 1.0)
        bias = find_tensor(self._checkpoint, f"{prefix}.bias") if norm.bias else None
        if bias is not None:
            old = read_tensor(self._checkpoint, bias)
            made.tensors[bias.name] = (old.float() / s_C.cpu()).to(old.dtype)
        return s_C

    def _divide_linear(self, name: str, s_O: Tensor, made: Sink) -> None:
        """Divide outputs of a linear that is quantised already: codes stay, their scales change."""
        matrix = made.matrices[name]
        assert isinstance(matrix, Grouped)
        scale_OG = (matrix.scale_OG / s_O.unsqueeze(1)).clamp(2.0**-14, 65504.0).half().float()
        made.matrices[name] = replace(matrix, scale_OG=scale_OG)
        module = next(module for module in self._modules if name in module.rows)
        bias = find_tensor(self._checkpoint, f"{module.name}.bias")
        if bias is not None:
            stored = made.tensors.get(bias.name)
            whole = read_tensor(self._checkpoint, bias) if stored is None else stored
            rows = module.rows[name]
            whole[rows] = (whole[rows].float() / s_O.cpu()).to(whole.dtype)
            made.tensors[bias.name] = whole


def _passes_scales(forward: FeedForward | None) -> bool:
    """True if dividing the outputs of `up` divides the outputs of the activation too."""
    if forward is None or forward.clip is not None or forward.up_offset:
        return False
    return forward.gated or forward.activation in _HOMOGENEOUS
