"""RMS norm and layer norm. Weights stay in float32: an offset of one would cost a bfloat16 weight its low bits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import Norm
from jackfield_torch.layers.compose import TensorFunction, identity
from jackfield_torch.loader import ModelWeights


class RmsNorm:
    """Zhang and Sennrich 2019, over the last axis; sums in float32 and rounds once."""

    def __init__(self, weight_E: Tensor, epsilon: float) -> None:
        self._weight_E = weight_E  # float32
        self._shape = tuple(weight_E.shape)
        self._epsilon = epsilon

    def __call__(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self._shape, self._weight_E, self._epsilon).to(x.dtype)


class LayerNorm:
    """Ba et al. 2016, over the last axis."""

    def __init__(self, weight_E: Tensor, bias_E: Tensor | None, epsilon: float) -> None:
        self._weight_E = weight_E  # float32
        self._bias_E = bias_E
        self._shape = tuple(weight_E.shape)
        self._epsilon = epsilon

    def __call__(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.float(), self._shape, self._weight_E, self._bias_E, self._epsilon)
        return y.to(x.dtype)


class HeadNorms:
    """RMS norms of equal epsilon over the heads of q and of k, which lie side by side, in one pass."""

    def __init__(self, weight_MH: Tensor, epsilon: float) -> None:
        self._weight_MH = weight_MH  # float32, a row for each of the M = N + K heads
        self._head_shape = (weight_MH.shape[-1],)
        self._epsilon = epsilon

    def __call__(self, x_TMH: Tensor) -> Tensor:
        y_TMH = F.rms_norm(x_TMH.float(), self._head_shape, None, self._epsilon)
        return y_TMH.mul_(self._weight_MH).to(x_TMH.dtype)


class SeparateHeadNorms:
    """Any norm over the heads of q, any other over those of k."""

    def __init__(self, num_heads: int, q_norm: TensorFunction, k_norm: TensorFunction) -> None:
        self._num_heads = num_heads
        self._q_norm, self._k_norm = q_norm, k_norm

    def __call__(self, x_TMH: Tensor) -> Tensor:
        q_TNH, k_TKH = x_TMH[:, : self._num_heads], x_TMH[:, self._num_heads :]
        return torch.cat((self._q_norm(q_TNH), self._k_norm(k_TKH)), 1)


def build_norm(norm: Norm | None, module: str, size: int, weights: ModelWeights) -> TensorFunction:
    """The norm that stands at `module`, or the identity."""
    if norm is None:
        return identity
    weight_E = _read_weight(norm, module, size, weights)
    bias_E = weights.norm_bias(module, size) if norm.bias else None
    if norm.kind == "rms":
        if bias_E is not None:
            raise UnsupportedModelError(
                f"{module} is an RMS norm with a bias; allowed: kind='layer'"
            )
        return RmsNorm(weight_E, norm.epsilon)
    if norm.kind == "layer":
        return LayerNorm(weight_E, bias_E, norm.epsilon)
    raise UnsupportedModelError(f"{module} is a norm of kind {norm.kind!r}; allowed: rms, layer")


def build_head_norms(
    q_norm: Norm | None,
    k_norm: Norm | None,
    module: str,
    num_heads: int,
    num_kv_heads: int,
    head_size: int,
    weights: ModelWeights,
) -> TensorFunction:
    """What is applied to the heads of q and k before they rotate; `num_kv_heads` is 0 without k."""
    q_module, k_module = f"{module}.q_norm", f"{module}.k_norm"
    if q_norm is None and (k_norm is None or not num_kv_heads):
        return identity
    if num_kv_heads and q_norm is not None and q_norm == k_norm and q_norm.kind == "rms":
        q_H = _read_weight(q_norm, q_module, head_size, weights)
        k_H = _read_weight(q_norm, k_module, head_size, weights)
        rows = (q_H.expand(num_heads, -1), k_H.expand(num_kv_heads, -1))
        return HeadNorms(torch.cat(rows), q_norm.epsilon)
    q_function = build_norm(q_norm, q_module, head_size, weights)
    if not num_kv_heads:
        return q_function
    return SeparateHeadNorms(
        num_heads, q_function, build_norm(k_norm, k_module, head_size, weights)
    )


def _read_weight(norm: Norm, module: str, size: int, weights: ModelWeights) -> Tensor:
    weight_E = weights.norm_weight(module, size, fill=1.0 - norm.weight_offset)
    return weight_E.add_(norm.weight_offset) if norm.weight_offset else weight_E
