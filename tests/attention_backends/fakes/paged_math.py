"""What the stand-ins compute: attention of rows over pages, as the documentation of the libraries defines it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(kw_only=True)
class Masks:
    """Bounds in keys before and after that of a query; -1: none."""

    left: int = -1
    right: int = -1
    soft_cap: float = 0.0
    sinks: Tensor | None = None


def read_pages(pages: Tensor, ids: Tensor, length: int) -> Tensor:
    """The first `length` slots of pages [N, size, heads, head size] in the order of `ids`."""
    size = pages.shape[1]
    return pages[ids[: -(-length // size)].long()].flatten(0, 1)[:length]


def attend_row(q: Tensor, k: Tensor, v: Tensor, scale: float, masks: Masks) -> Tensor:
    """The queries are the last of the keys; in float32."""
    num_queries, num_heads, _ = q.shape
    length, num_kv_heads, _ = k.shape
    group = num_heads // num_kv_heads
    k, v = (x.float().repeat_interleave(group, 1) for x in (k, v))
    scores = torch.einsum("tnh,lnh->ntl", q.float(), k) * scale
    if masks.soft_cap:
        scores = masks.soft_cap * torch.tanh(scores / masks.soft_cap)
    place = torch.arange(length - num_queries, length).unsqueeze(1)
    key = torch.arange(length)
    hidden = torch.zeros(num_queries, length, dtype=torch.bool)
    if masks.right >= 0:
        hidden |= key > place + masks.right
    if masks.left >= 0:
        hidden |= key < place - masks.left
    scores = scores.masked_fill(hidden, -torch.inf)
    if masks.sinks is not None:
        sinks = masks.sinks.float().view(-1, 1, 1).expand(-1, num_queries, 1)
        scores = torch.cat([scores, sinks], -1)
    weights = scores.softmax(-1)[..., :length]
    return torch.einsum("ntl,lnh->tnh", weights, v).to(q.dtype)


def attend_pages(
    q: Tensor,
    k_pages: Tensor,
    v_pages: Tensor,
    starts: Tensor,
    lengths: Tensor,
    table: Tensor,
    scale: float,
    masks: Masks,
) -> Tensor:
    """Row after row: queries starts[r] to starts[r + 1] over the first lengths[r] slots of its pages."""
    outputs = []
    for row, length in enumerate(lengths.tolist()):
        queries = q[int(starts[row]) : int(starts[row + 1])]
        keys = read_pages(k_pages, table[row], length)
        values = read_pages(v_pages, table[row], length)
        outputs.append(attend_row(queries, keys, values, scale, masks))
    return torch.cat(outputs)


def check_paged(q, k, v, starts, lengths, table, most_queries):
    """What the kernels demand of their tensors, whatever the release."""
    assert q.dtype == k.dtype == v.dtype
    assert q.dtype in (torch.float16, torch.bfloat16)
    assert q.dim() == 3
    assert k.dim() == v.dim() == 4
    assert k.shape == v.shape
    assert q.shape[-1] == k.shape[-1]
    assert q.shape[1] % k.shape[2] == 0
    for tensor in (q, k, v, table):
        assert tensor.stride(-1) == 1
    for tensor in (starts, lengths, table):
        assert tensor.dtype == torch.int32
    assert starts.is_contiguous()
    assert lengths.is_contiguous()
    num_rows = len(starts) - 1
    assert len(lengths) == num_rows
    assert table.shape[0] == num_rows
    assert int(starts[-1]) == q.shape[0]
    assert int((starts[1:] - starts[:-1]).max()) <= most_queries
    assert int(table.max()) < k.shape[0]
    assert int(lengths.max()) <= table.shape[1] * k.shape[1]


def causal(is_causal, window):
    """What a window of (-1 or None: all) and a flag hide."""
    left, right = (-1 if bound is None else bound for bound in window)
    return Masks(left=left, right=0 if is_causal else right)
