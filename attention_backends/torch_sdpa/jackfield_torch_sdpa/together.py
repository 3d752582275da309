"""Attention among the tokens of each row of a step, without a cache. Rows of similar length share one call of the kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional

from jackfield_torch.interfaces.attention import LayerAttention
from jackfield_torch_sdpa.kernels import written_out

# The padding of rows that share a call stays below a fixed number of tokens (the cost of a separate call) plus a share of
# their real tokens.
_PADDING_TOKENS = 64
_PADDING_SHARE = 8


@dataclass(frozen=True, slots=True)
class _Bucket:
    """R rows, padded to L tokens each."""

    num_rows: int
    length: int
    tokens: slice | Tensor  # int64; the tokens of these rows in the step, row after row
    places: Tensor | None  # int64; indices of these tokens among R * L; None: nothing is padded
    hidden_RL: Tensor | None  # bool; True for padding; None: nothing is padded


class TogetherPlan:
    """The rows of a step that share a call. It is made once a step, from the lengths of its rows."""

    def __init__(
        self, lengths: Sequence[int], num_kv_heads: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._num_kv_heads, self._dtype, self._device = num_kv_heads, dtype, device
        starts = [*accumulate(lengths, initial=0)]
        self._buckets = [self._bucket(rows, starts, lengths) for rows in _buckets(lengths)]
        # By padded length, and id of the layer's tensor of biases.
        self._biases: dict[tuple[int, int], Tensor] = {}
        # By index of the bucket, and window.
        self._masks: dict[tuple[int, int | None], Tensor | None] = {}

    def attend(self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, layer: LayerAttention) -> Tensor:
        """Attend in all rows; returns o_TNH in q's dtype."""
        if len(self._buckets) == 1 and isinstance(self._buckets[0].tokens, slice):
            return self._attend(0, q_TNH, k_TKH, v_TKH, layer)
        o_TNH = torch.empty(
            (*q_TNH.shape[:2], v_TKH.shape[-1]), dtype=q_TNH.dtype, device=q_TNH.device
        )
        for index, bucket in enumerate(self._buckets):
            q, k, v = (x[bucket.tokens] for x in (q_TNH, k_TKH, v_TKH))
            o_TNH[bucket.tokens] = self._attend(index, q, k, v, layer)
        return o_TNH

    def _attend(
        self, index: int, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, layer: LayerAttention
    ) -> Tensor:
        bucket = self._buckets[index]
        group = q_TNH.shape[1] // self._num_kv_heads
        q_RNLH = self._padded(bucket, q_TNH)
        k_RNLH, v_RNLH = (_repeated(self._padded(bucket, x), group) for x in (k_TKH, v_TKH))
        mask = self._mask(index, layer.window)
        if layer.distance_bias_ND is not None:
            bias = self._bias(bucket.length, layer.distance_bias_ND)
            mask = bias if mask is None else mask + bias
        if layer.soft_cap is None:
            o_RNLH = functional.scaled_dot_product_attention(
                q_RNLH, k_RNLH, v_RNLH, attn_mask=mask, scale=layer.scale
            )
        else:
            o_RNLH = written_out(
                q_RNLH,
                k_RNLH,
                v_RNLH,
                mask,
                False,
                layer.scale,
                soft_cap=layer.soft_cap,
                sinks=None,
            )
        o_XNH = o_RNLH.transpose(1, 2).flatten(0, 1)
        return o_XNH if bucket.places is None else o_XNH.index_select(0, bucket.places)

    def _padded(self, bucket: _Bucket, x_TMH: Tensor) -> Tensor:
        """[R, heads, L, H]."""
        if bucket.places is not None:
            padded = x_TMH.new_zeros((bucket.num_rows * bucket.length, *x_TMH.shape[1:]))
            x_TMH = padded.index_copy_(0, bucket.places, x_TMH)
        shape = bucket.num_rows, bucket.length, *x_TMH.shape[1:]
        return x_TMH.reshape(shape).transpose(1, 2)

    def _bias(self, length: int, bias_ND: Tensor) -> Tensor:
        """[1, N, L, L] in the dtype of q. It is made once for all layers that share the biases."""
        key = length, id(bias_ND)
        if key not in self._biases:
            place_L = torch.arange(length, device=self._device)
            distance_LL = place_L - place_L.unsqueeze(1) + bias_ND.shape[1] // 2
            self._biases[key] = bias_ND[:, distance_LL].unsqueeze(0).to(self._dtype)
        return self._biases[key]

    def _mask(self, index: int, window: int | None) -> Tensor | None:
        """[R or 1, 1, L, L], 0 or -inf, in the dtype of q; None if all tokens see each other."""
        key = index, window
        if key not in self._masks:
            self._masks[key] = self._make_mask(self._buckets[index], window)
        return self._masks[key]

    def _make_mask(self, bucket: _Bucket, window: int | None) -> Tensor | None:
        hidden = None
        if window is not None and window < bucket.length:
            place_L = torch.arange(bucket.length, device=self._device)
            hidden = ((place_L.unsqueeze(1) - place_L).abs() >= window)[None, None]
        if bucket.hidden_RL is not None:
            padding = bucket.hidden_RL[:, None, None, :]
            # A padded query may see anything, because nobody reads its output. If it saw nothing, its softmax would be NaN.
            hidden = (
                padding
                if hidden is None
                else (hidden | padding) & ~bucket.hidden_RL[:, None, :, None]
            )
        if hidden is None:
            return None
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device)
        return mask.masked_fill_(hidden, float("-inf")).expand(-1, 1, bucket.length, -1)

    def _bucket(
        self, rows: Sequence[int], starts: Sequence[int], lengths: Sequence[int]
    ) -> _Bucket:
        length = max(lengths[row] for row in rows)
        tokens = _tokens(rows, starts, lengths)
        at: slice | Tensor = slice(tokens[0], tokens[-1] + 1)
        if tokens[-1] + 1 - tokens[0] != len(tokens):
            at = self._ints(tokens)
        if all(lengths[row] == length for row in rows):
            return _Bucket(len(rows), length, at, None, None)
        places = self._ints(
            [place * length + i for place, row in enumerate(rows) for i in range(lengths[row])]
        )
        hidden = torch.ones(len(rows) * length, dtype=torch.bool, device=self._device)
        hidden[places] = False
        return _Bucket(len(rows), length, at, places, hidden.view(len(rows), length))

    def _ints(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)


def _tokens(rows: Sequence[int], starts: Sequence[int], lengths: Sequence[int]) -> list[int]:
    return [starts[row] + i for row in rows for i in range(lengths[row])]


def _buckets(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Put rows of similar length together. The rows of a bucket are in the order of the step."""
    bucket: list[int] = []
    longest = padding = used = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        more = longest - lengths[row] if bucket else 0
        if padding + more > _PADDING_TOKENS + used // _PADDING_SHARE:
            yield sorted(bucket)
            bucket, padding, used, more = [], 0, 0, 0
        if not bucket:
            longest = lengths[row]
        bucket.append(row)
        padding, used = padding + more, used + lengths[row]
    yield sorted(bucket)


def _repeated(x_RKLH: Tensor, group: int) -> Tensor:
    """Repeat each kv head for the query heads of its group."""
    return x_RKLH if group == 1 else x_RKLH.repeat_interleave(group, 1)
