"""Attention of one row, written out in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield_testing_torch.conformance.tolerances import ExactSum
from jackfield_torch.interfaces.attention import LayerAttention


def plain_attention(q_TNH: Tensor, k_LKH: Tensor, v_LKH: Tensor, layer: LayerAttention) -> ExactSum:
    """The last T of L tokens attend to all of them. Everything on the host and in float64, whatever comes in."""
    q_TNH, k_LKH, v_LKH = (x.cpu().double() for x in (q_TNH, k_LKH, v_LKH))
    num_queries, num_heads, _ = q_TNH.shape
    length, num_kv_heads, _ = k_LKH.shape
    kv_head_N = torch.arange(num_heads) // (num_heads // num_kv_heads)
    v_LNH = v_LKH[:, kv_head_N]
    scores_NTL = torch.einsum("tnh,lnh->ntl", q_TNH, k_LKH[:, kv_head_N]) * layer.scale
    if layer.soft_cap is not None:
        scores_NTL = layer.soft_cap * torch.tanh(scores_NTL / layer.soft_cap)
    if layer.distance_bias_ND is not None:
        bias_ND = layer.distance_bias_ND.cpu().double()
        behind_TL = torch.arange(length) - torch.arange(length - num_queries, length).unsqueeze(1)
        scores_NTL = scores_NTL + bias_ND[:, behind_TL + bias_ND.shape[1] // 2]
    scores_NTL = scores_NTL.masked_fill(_is_hidden(num_queries, length, layer), -torch.inf)
    sinks_N = layer.sinks_N
    if sinks_N is not None:  # one more score for each head, of a key without a value
        sinks_NT1 = sinks_N.cpu().double().view(-1, 1, 1).expand(-1, num_queries, 1)
        scores_NTL = torch.cat([scores_NTL, sinks_NT1], -1)
    p_NTL = scores_NTL.softmax(-1)[..., :length]
    return ExactSum(
        value=torch.einsum("ntl,lnh->tnh", p_NTL, v_LNH),
        noise=torch.einsum("ntl,lnh->tnh", p_NTL.square(), v_LNH.square()).sqrt(),
        reach=torch.einsum("ntl,lnh->tnh", p_NTL, v_LNH.abs()),
        num_terms=length,
    )


def _is_hidden(num_queries: int, length: int, layer: LayerAttention) -> Tensor:
    """Bool [T, L]."""
    query_T1 = torch.arange(length - num_queries, length).unsqueeze(1)
    distance_TL = query_T1 - torch.arange(length)
    hidden_TL = torch.zeros(distance_TL.shape, dtype=torch.bool)
    if layer.causal:
        hidden_TL |= distance_TL < 0
    if layer.window is not None:
        hidden_TL |= (distance_TL if layer.causal else distance_TL.abs()) >= layer.window
    if layer.chunk_size is not None:
        chunk_L = torch.arange(length) // layer.chunk_size
        hidden_TL |= chunk_L < query_T1 // layer.chunk_size
    return hidden_TL
