"""Latent attention: one cached vector for each token. It is absorbed for rows of few queries, expanded for those of many."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from jackfield.model_spec import LatentAttention
from jackfield_torch.attention_step import AttentionStep, RowSpan
from jackfield_torch.interfaces.attention import LayerCache
from jackfield_torch.interfaces.kernels import LatentKernel
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.layers.attention import RotateHeads, StepInputs
from jackfield_torch.layers.compose import TensorFunction


class FusedLatent:
    """A kernel of the device for norm, rotation and writing of a latent cache, with one of the step's rotations."""

    def __init__(self, kernel: LatentKernel, index: int) -> None:
        self._kernel = kernel
        self._index = index

    def __call__(
        self, q_TNX: Tensor, kept_TD: Tensor, step: StepInputs, cache: LayerCache, slots_T: Tensor
    ) -> Tensor:
        """Queries in the space of cached vectors, of which the rotated elements are filled."""
        rotation = step.rotations[self._index]
        return self._kernel(q_TNX, kept_TD, rotation.cos_T1P, rotation.sin_T1P, cache, slots_T)


class LatentMixer:
    """The mixer of one layer. C elements of the latent vector, P rotated elements behind them, N heads on this rank.

    Absorbed: queries are projected into the space of latent vectors and attend over the cached vectors, which all heads
    share; that moves C + P numbers for each token. Expanded: keys and values of all heads are computed from the cached
    vectors, which costs arithmetic once a token, but less for each query. Source: DeepSeek-AI 2024 (DeepSeek-V2),
    section 2.1.
    """

    def __init__(
        self,
        *,
        layer: int,
        spec: LatentAttention,
        num_heads: int,  # on this rank
        # Linears of the hidden state: (q and kv_a) side by side, or one after the other.
        inputs: tuple[Linear, ...],
        query_norm: TensorFunction | None,  # used with q_b: queries follow from a latent vector
        q_b: Linear | None,
        latent_norm: TensorFunction,
        expand_CNX: Tensor,  # from kv_b: for each head its keys, then its values
        rotate: RotateHeads,
        out: Linear,
        # A kernel of the device that replaces `latent_norm` and `rotate` over a paged cache.
        fused: FusedLatent | None = None,
    ) -> None:
        self._fused = fused
        self._layer = layer
        self._spec = spec
        self._num_heads = num_heads
        self._inputs = inputs
        self._query_norm, self._q_b = query_norm, q_b
        self._latent_norm = latent_norm
        self._rotate, self._out = rotate, out
        self._expand_CY = expand_CNX.flatten(1)
        self._keys_NHC = expand_CNX[..., : spec.head_size].permute(1, 2, 0)
        self._values_NCV = expand_CNX[..., spec.head_size :].transpose(0, 1)

    def __call__(self, x_TE: Tensor, step: StepInputs) -> Tensor:
        """This rank's share of the sum."""
        attention = step.attention
        q_TNX, kept_TD = self._project(x_TE)
        paged = None if self._fused is None else attention.paged(self._layer)
        if self._fused is None or paged is None:
            absorbed_TND, kept_T1D = self._rotated(q_TNX, kept_TD, step)
        else:  # the cache is written with it
            absorbed_TND, kept_T1D = self._fused(q_TNX, kept_TD, step, *paged), None
        long = attention.long_rows(self._layer)
        if long is None:
            self._absorb(q_TNX, absorbed_TND)
            o_TNC = attention.attend(self._layer, absorbed_TND, kept_T1D, None)
            return self._out(self._values(o_TNC))
        if kept_T1D is not None:
            attention.write(self._layer, kept_T1D, None)
        o_TY = q_TNX.new_empty(len(x_TE), self._num_heads * self._spec.value_size)
        q_TNP = absorbed_TND[..., self._spec.latent_size :]
        for span in long.spans:
            o_TY[span.tokens] = self._expanded(q_TNX, q_TNP, span, attention)
        if (others_A := long.others_A) is not None:
            absorbed_AND = absorbed_TND[others_A]
            self._absorb(q_TNX[others_A], absorbed_AND)
            o_ANC = attention.attend(self._layer, absorbed_AND, None, None)
            o_TY.index_copy_(0, others_A, self._values(o_ANC))
        return self._out(o_TY)

    def _project(self, x_TE: Tensor) -> tuple[Tensor, Tensor]:
        """Queries, and what latent vectors and rotated keys are made of."""
        size = self._spec.latent_size + self._spec.rope.rotary_size
        if len(self._inputs) > 1:
            q, kept_TD = (linear(x_TE) for linear in self._inputs)
        else:
            outputs = self._inputs[0](x_TE)
            q, kept_TD = outputs[:, :-size], outputs[:, -size:]
        if self._q_b is not None and self._query_norm is not None:
            q = self._q_b(self._query_norm(q))
        return q.reshape(len(x_TE), self._num_heads, -1), kept_TD

    def _rotated(self, q_TNX: Tensor, kept_TD: Tensor, step: StepInputs) -> tuple[Tensor, Tensor]:
        """Queries in the space of cached vectors, of which the rotated elements are filled, and the vectors to cache."""
        spec = self._spec
        latent_TC, key_TP = kept_TD[:, : spec.latent_size], kept_TD[:, spec.latent_size :]
        q_TNP = q_TNX[..., spec.head_size :]
        turned = self._rotate(torch.cat((q_TNP, key_TP.unsqueeze(1)), 1), step)
        kept_TD = torch.cat((self._latent_norm(latent_TC), turned[:, -1]), -1)
        absorbed_TND = q_TNX.new_empty((*q_TNX.shape[:2], kept_TD.shape[1]))
        absorbed_TND[..., spec.latent_size :] = turned[:, :-1]
        return absorbed_TND, kept_TD.unsqueeze(1)

    def _absorb(self, q_TNX: Tensor, absorbed_TND: Tensor) -> None:
        """Fill what is not rotated of queries in the space of the cached vectors."""
        q_NTH = q_TNX[..., : self._spec.head_size].transpose(0, 1)
        latent_NTC = absorbed_TND[..., : self._spec.latent_size].transpose(0, 1)
        torch.bmm(q_NTH, self._keys_NHC, out=latent_NTC)

    def _values(self, o_TNC: Tensor) -> Tensor:
        """Outputs of the heads, from the latent vectors that they attended to."""
        y_TNV = o_TNC.new_empty((*o_TNC.shape[:2], self._spec.value_size))
        torch.bmm(o_TNC.transpose(0, 1), self._values_NCV, out=y_TNV.transpose(0, 1))
        return y_TNV.flatten(1)

    def _expanded(
        self, q_TNX: Tensor, q_TNP: Tensor, span: RowSpan, attention: AttentionStep
    ) -> Tensor:
        """The output of one row with many queries: keys and values of all heads are made for it."""
        q_nNH, q_nNP = q_TNX[span.tokens, :, : self._spec.head_size], q_TNP[span.tokens]
        kept_LD = attention.keys(self._layer, span)[:, 0].to(q_TNX.dtype)
        latent_LC = kept_LD[:, : self._spec.latent_size]
        expanded_LNX = torch.unflatten(latent_LC @ self._expand_CY, 1, (self._num_heads, -1))
        shared_LNP = (
            kept_LD[:, self._spec.latent_size :].unsqueeze(1).expand(-1, self._num_heads, -1)
        )
        k_LNX = torch.cat((expanded_LNX[..., : self._spec.head_size], shared_LNP), -1)
        # Torch's fast kernels take four axes, and values as long as keys.
        v_NLV = expanded_LNX[..., self._spec.head_size :].transpose(0, 1)
        missing = max(0, k_LNX.shape[-1] - v_NLV.shape[-1])
        o_1NnV = functional.scaled_dot_product_attention(
            torch.cat((q_nNH, q_nNP), -1).transpose(0, 1).unsqueeze(0),
            k_LNX.transpose(0, 1).unsqueeze(0),
            functional.pad(v_NLV, (0, missing)).unsqueeze(0),
            attn_mask=span.mask(q_TNX.device),
            is_causal=span.num_queries == span.length,
            scale=self._spec.scale,
        )
        return o_1NnV[0, ..., : self._spec.value_size].transpose(0, 1).flatten(1)
