"""Softmax attention with grouped queries: projections, norms of heads and rotation around `AttentionStep`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from jackfield_torch.attention_step import AttentionStep
from jackfield_torch.interfaces.attention import LayerCache
from jackfield_torch.interfaces.kernels import HeadKernel
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.layers.alibi import Alibi
from jackfield_torch.layers.compose import TensorFunction, identity
from jackfield_torch.rope import Rotation


@dataclass(frozen=True, slots=True)
class StepInputs:
    """The inputs that all layers of one step share."""

    attention: AttentionStep
    rotations: tuple[Rotation, ...]  # one for each different rope of the model
    positions_T: Tensor  # int64


RotateHeads = Callable[[Tensor, StepInputs], Tensor]


class RotateBy:
    """Rotates by one of the step's rotations."""

    def __init__(self, rotate: Callable[[Tensor, Rotation], Tensor], index: int) -> None:
        self._rotate = rotate
        self._index = index

    def __call__(self, x_TMH: Tensor, step: StepInputs) -> Tensor:
        return self._rotate(x_TMH, step.rotations[self._index])


def no_rotation(x_TMH: Tensor, step: StepInputs) -> Tensor:
    """No rotation, for models without rotary positions."""
    return x_TMH


def in_order(norms: TensorFunction, rotate: RotateHeads, *, norms_last: bool) -> RotateHeads:
    """Norms and rotation of heads, one after the other."""
    if norms is identity:
        return rotate
    if norms_last:
        return lambda x_TMH, step: norms(rotate(x_TMH, step))
    return lambda x_TMH, step: rotate(norms(x_TMH), step)


class FusedHeads:
    """A kernel of the device for norms, rotation and writing of the cache, with one of the step's rotations."""

    def __init__(self, kernel: HeadKernel, index: int) -> None:
        self._kernel = kernel
        self._index = index

    def __call__(
        self, qkv_TMH: Tensor, step: StepInputs, cache: LayerCache, slots_T: Tensor
    ) -> Tensor:
        """q_TNH, ready for attention."""
        rotation = step.rotations[self._index]
        return self._kernel(qkv_TMH, rotation.cos_T1P, rotation.sin_T1P, cache, slots_T)


class AttentionMixer:
    """The mixer of one layer with its own keys and values."""

    def __init__(
        self,
        *,
        layer: int,
        num_heads: int,  # heads on this rank
        num_kv_heads: int,
        head_size: int,
        qkv: TensorFunction,  # gives q, k and v side by side
        turn: RotateHeads,  # norms and rotation of the heads of q and k
        out: Linear,
        alibi: Alibi | None = None,
        # A kernel of the device that replaces `turn` over a paged cache.
        fused: FusedHeads | None = None,
        has_gate: bool = False,  # a gate of each head follows v
    ) -> None:
        self.layer = layer
        self.head_size = head_size
        self.qkv, self.out = qkv, out
        self.fused = fused
        self._num_heads = num_heads
        self._num_rotated = num_heads + num_kv_heads
        self._turn, self._alibi = turn, alibi
        self._num_qkv = num_heads + 2 * num_kv_heads
        self.has_gate = has_gate

    def __call__(self, x_TE: Tensor, step: StepInputs) -> Tensor:
        """This rank's share of the sum."""
        qkv = self.qkv(x_TE).view(x_TE.shape[0], -1, self.head_size)
        if self.fused is not None and (paged := step.attention.paged(self.layer)) is not None:
            q_TNH = self.fused(qkv, step, *paged)
            return self.out(step.attention.attend(self.layer, q_TNH, None, None).flatten(1))
        qk = self._turn(qkv[:, : self._num_rotated], step)
        q_TNH, k_TKH = qk[:, : self._num_heads], qk[:, self._num_heads :]
        v_TKH = qkv[:, self._num_rotated : self._num_qkv]
        if self._alibi is not None:
            q_TNH, k_TKH, v_TKH = self._alibi(q_TNH, k_TKH, v_TKH, step.positions_T)
        o_TNH = step.attention.attend(self.layer, q_TNH, k_TKH, v_TKH)
        if self._alibi is not None:
            o_TNH = o_TNH[..., : self.head_size]
        if self.has_gate:
            o_TNH = o_TNH * qkv[:, self._num_qkv :].sigmoid()
        return self.out(o_TNH.flatten(1))


class SharedCacheMixer:
    """The mixer of a layer that reads the keys and values of an earlier layer."""

    def __init__(
        self,
        *,
        layer: int,
        head_size: int,
        q: TensorFunction,
        turn: RotateHeads,
        out: Linear,
    ) -> None:
        self._layer = layer
        self._head_size = head_size
        self._q, self._out = q, out
        self._turn = turn

    def __call__(self, x_TE: Tensor, step: StepInputs) -> Tensor:
        """This rank's share of the sum."""
        q_TNH = self._q(x_TE).view(x_TE.shape[0], -1, self._head_size)
        q_TNH = self._turn(q_TNH, step)
        o_TNH = step.attention.attend(self._layer, q_TNH, None, None)
        return self._out(o_TNH.flatten(1))
