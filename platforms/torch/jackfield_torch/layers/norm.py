"""RMS norm and layer norm. Weights stay in float32: an offset of one would cost a bfloat16 weight its low bits."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import Attention
from jackfield.model_spec import Norm as NormSpec
from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.layers.branch import add_branch
from jackfield_torch.layers.compose import TensorFunction, identity
from jackfield_torch.loader import ModelWeights


class Norm(ABC):
    """A norm before a branch of a layer."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """The norm of x over its last axis, in x's dtype."""

    def after(self, x_TE: Tensor, branch_TE: Tensor | None) -> Tensor:
        """Add a branch to `x_TE` in place, if there is one. Returns the norm of the sum."""
        return self(x_TE if branch_TE is None else add_branch(x_TE, branch_TE))


class NoNorm(Norm):
    """Leaves its input unchanged."""

    def __call__(self, x: Tensor) -> Tensor:
        return x


class RmsNorm(Norm):
    """Zhang and Sennrich 2019, over the last axis. Sums in float32 and rounds once. `weight_E` is float32."""

    def __init__(self, weight_E: Tensor, epsilon: float, kernels: Kernels) -> None:
        self.weight_E = weight_E
        self.epsilon = epsilon
        self._kernels = kernels

    def __call__(self, x: Tensor) -> Tensor:
        return self._kernels.add_rms_norm(x, None, self.weight_E, self.epsilon)

    def after(self, x_TE: Tensor, branch_TE: Tensor | None) -> Tensor:
        return self._kernels.add_rms_norm(x_TE, branch_TE, self.weight_E, self.epsilon)


class LayerNorm(Norm):
    """Ba et al. 2016, over the last axis. Weight and bias are float32."""

    def __init__(self, weight_E: Tensor, bias_E: Tensor | None, epsilon: float) -> None:
        self._weight_E = weight_E
        self._bias_E = bias_E
        self._shape = tuple(weight_E.shape)
        self._epsilon = epsilon

    def __call__(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.float(), self._shape, self._weight_E, self._bias_E, self._epsilon)
        return y.to(x.dtype)


class HeadNorms:
    """RMS norms of equal epsilon over the heads of q and k, which stand side by side, in one pass."""

    def __init__(self, weight_MH: Tensor, epsilon: float) -> None:
        self.weight_MH = weight_MH  # float32, a row for each of the M = N + K heads
        self.epsilon = epsilon
        self._head_shape = (weight_MH.shape[-1],)

    def __call__(self, x_TMH: Tensor) -> Tensor:
        y_TMH = F.rms_norm(x_TMH.float(), self._head_shape, None, self.epsilon)
        return y_TMH.mul_(self.weight_MH).to(x_TMH.dtype)


class SeparateHeadNorms:
    """Any norm over the heads of q, and any other norm over the heads of k."""

    def __init__(self, num_heads: int, q_norm: TensorFunction, k_norm: TensorFunction) -> None:
        self._num_heads = num_heads
        self._q_norm, self._k_norm = q_norm, k_norm

    def __call__(self, x_TMH: Tensor) -> Tensor:
        q_TNH, k_TKH = x_TMH[:, : self._num_heads], x_TMH[:, self._num_heads :]
        return torch.cat((self._q_norm(q_TNH), self._k_norm(k_TKH)), 1)


class HeadLayerNorms:
    """Layer norms of equal epsilon over the heads of q and k, each head with its own weights, in one pass."""

    def __init__(self, weight_MH: Tensor, epsilon: float) -> None:
        self._weight_MH = weight_MH  # float32, a row for each of the M = N + K heads
        self._epsilon = epsilon

    def __call__(self, x_TMH: Tensor) -> Tensor:
        shape = self._weight_MH.shape[-1:]
        y_TMH = F.layer_norm(x_TMH.float(), shape, None, None, self._epsilon)
        return y_TMH.mul_(self._weight_MH).to(x_TMH.dtype)


class JointHeadNorms:
    """One norm over all heads of q together, and another over all heads of k."""

    def __init__(self, num_heads: int, q_norm: TensorFunction, k_norm: TensorFunction) -> None:
        self._num_heads = num_heads
        self._q_norm, self._k_norm = q_norm, k_norm

    def __call__(self, x_TMH: Tensor) -> Tensor:
        x_TW, width = x_TMH.flatten(1), self._num_heads * x_TMH.shape[-1]
        normed = (self._q_norm(x_TW[:, :width]), self._k_norm(x_TW[:, width:]))
        return torch.cat(normed, 1).view_as(x_TMH)


class NormBuilder:
    """Makes norms from specs, with the weights of one rank on its device."""

    def __init__(self, weights: ModelWeights, device: torch.device, kernels: Kernels) -> None:
        self._weights, self._device, self._kernels = weights, device, kernels

    def norm(self, norm: NormSpec | None, module: str, size: int) -> Norm:
        """The norm at `module`."""
        if norm is None:
            return NoNorm()
        weight_E = self._weight(norm, module, size)
        bias_E = self._bias(module, size) if norm.bias else None
        if norm.kind == "rms":
            if bias_E is not None:
                raise UnsupportedModelError(
                    f"{module} is an RMS norm with a bias; allowed: kind='layer'"
                )
            return RmsNorm(weight_E, norm.epsilon, self._kernels)
        if norm.kind == "layer":
            return LayerNorm(weight_E, bias_E, norm.epsilon)
        raise UnsupportedModelError(
            f"{module} is a norm of kind {norm.kind!r}; allowed: rms, layer"
        )

    def function(self, norm: NormSpec | None, module: str, size: int) -> TensorFunction:
        """The norm as a function of one tensor, for chains; the identity if there is none."""
        return identity if norm is None else self.norm(norm, module, size)

    def head_norms(
        self, attention: Attention, module: str, num_heads: int, num_kv_heads: int
    ) -> TensorFunction:
        """The norms of the heads of q and k. `num_kv_heads` is 0 without k."""
        q_norm, k_norm, head_size = attention.q_norm, attention.k_norm, attention.head_size
        q_module, k_module = f"{module}.q_norm", f"{module}.k_norm"
        if q_norm is None and (k_norm is None or not num_kv_heads):
            return identity
        if attention.joint_norms:
            return JointHeadNorms(
                num_heads,
                self.function(q_norm, q_module, num_heads * head_size),
                self.function(k_norm, k_module, num_kv_heads * head_size),
            )
        if num_kv_heads and q_norm is not None and q_norm == k_norm:
            own = attention.head_weights
            rows = (
                self._head_weights(q_norm, q_module, num_heads, head_size, own=own),
                self._head_weights(q_norm, k_module, num_kv_heads, head_size, own=own),
            )
            if q_norm.kind == "rms":
                return HeadNorms(torch.cat(rows), q_norm.epsilon)
            if own:
                return HeadLayerNorms(torch.cat(rows), q_norm.epsilon)
        q_function = self.function(q_norm, q_module, head_size)
        if not num_kv_heads:
            return q_function
        return SeparateHeadNorms(num_heads, q_function, self.function(k_norm, k_module, head_size))

    def _head_weights(
        self, norm: NormSpec, module: str, num_heads: int, head_size: int, *, own: bool
    ) -> Tensor:
        """A row for each head, float32 [heads, head size]. If not `own`, all rows are equal."""
        if not own:
            return self._weight(norm, module, head_size).expand(num_heads, -1)
        stored = self._weights.read(module, "weight", (num_heads, head_size))
        return stored.float().to(self._device)

    def _weight(self, norm: NormSpec, module: str, size: int) -> Tensor:
        if not norm.weight:
            return torch.ones(size, device=self._device)
        weight_E = self._weights.norm_weight(module, size, fill=1.0 - norm.weight_offset)
        weight_E = weight_E.to(self._device)
        return weight_E.add_(norm.weight_offset) if norm.weight_offset else weight_E

    def _bias(self, module: str, size: int) -> Tensor:
        return self._weights.norm_bias(module, size).to(self._device)
