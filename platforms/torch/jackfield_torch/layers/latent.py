"""Latent attention: one cached vector for each token. It is absorbed if rows have one query, expanded if they have many."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from jackfield.model_spec import LatentAttention
from jackfield_torch.attention_step import AttentionStep, RowSpan
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.layers.attention import RotateHeads, StepInputs
from jackfield_torch.layers.compose import TensorFunction


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
    ) -> None:
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
        q_TNH, q_TNP, kept_T1D = self._project(x_TE, step)
        attention = step.attention
        spans = attention.spans(self._layer)
        if spans is None:
            absorbed_TND = self._absorb(q_TNH, q_TNP)
            o_TNC = attention.attend(self._layer, absorbed_TND, kept_T1D, None)
            return self._out(self._values(o_TNC))
        attention.write(self._layer, kept_T1D, None)
        parts = [self._attend(q_TNH, q_TNP, span, attention) for span in spans]
        return self._out(torch.cat(parts))

    def _project(self, x_TE: Tensor, step: StepInputs) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, their rotated parts, and the vectors to cache."""
        spec = self._spec
        outputs = (
            torch.cat([linear(x_TE) for linear in self._inputs], -1)
            if len(self._inputs) > 1
            else self._inputs[0](x_TE)
        )
        size = spec.latent_size + spec.rope.rotary_size
        q, kept_TD = outputs[:, :-size], outputs[:, -size:]
        if self._q_b is not None and self._query_norm is not None:
            q = self._q_b(self._query_norm(q))
        q_TNX = q.reshape(len(x_TE), self._num_heads, -1)
        latent_TC, key_TP = kept_TD[:, : spec.latent_size], kept_TD[:, spec.latent_size :]
        turned = self._rotate(
            torch.cat((q_TNX[..., spec.head_size :], key_TP.unsqueeze(1)), 1), step
        )
        kept_TD = torch.cat((self._latent_norm(latent_TC), turned[:, -1]), -1)
        return q_TNX[..., : spec.head_size], turned[:, :-1], kept_TD.unsqueeze(1)

    def _absorb(self, q_TNH: Tensor, q_TNP: Tensor) -> Tensor:
        """Queries in the space of the cached vectors."""
        q_NTC = torch.bmm(q_TNH.transpose(0, 1), self._keys_NHC)
        return torch.cat((q_NTC.transpose(0, 1), q_TNP), -1)

    def _values(self, o_TNC: Tensor) -> Tensor:
        """Outputs of the heads, from the latent vectors that they attended to."""
        return torch.bmm(o_TNC.transpose(0, 1), self._values_NCV).transpose(0, 1).flatten(1)

    def _attend(
        self, q_TNH: Tensor, q_TNP: Tensor, span: RowSpan, attention: AttentionStep
    ) -> Tensor:
        """The output of one row, for any number of queries."""
        q_nNH, q_nNP = q_TNH[span.tokens], q_TNP[span.tokens]
        kept_LD = attention.keys(self._layer, span)[:, 0].to(q_TNH.dtype)
        latent_LC = kept_LD[:, : self._spec.latent_size]
        if span.num_queries == 1:
            absorbed_1ND = self._absorb(q_nNH, q_nNP)
            o = functional.scaled_dot_product_attention(
                absorbed_1ND, kept_LD.unsqueeze(0), latent_LC.unsqueeze(0), scale=self._spec.scale
            )
            return self._values(o)
        expanded_LNX = torch.unflatten(latent_LC @ self._expand_CY, 1, (self._num_heads, -1))
        shared_LNP = (
            kept_LD[:, self._spec.latent_size :].unsqueeze(1).expand(-1, self._num_heads, -1)
        )
        k_LNX = torch.cat((expanded_LNX[..., : self._spec.head_size], shared_LNP), -1)
        o_NnV = functional.scaled_dot_product_attention(
            torch.cat((q_nNH, q_nNP), -1).transpose(0, 1),
            k_LNX.transpose(0, 1),
            expanded_LNX[..., self._spec.head_size :].transpose(0, 1),
            attn_mask=span.mask(q_TNH.device),
            is_causal=span.num_queries == span.length,
            scale=self._spec.scale,
        )
        return o_NnV.transpose(0, 1).flatten(1)
