"""Attention a row at a time, and the same with one fault each. T queries, L tokens, N query heads, H head size."""

import torch

from jackfield_torch.interfaces.attention import GroupAttention


class Sound(GroupAttention):
    def __init__(self, group, layout, limits):
        self.block_size, self.order = layout.block_size, layout.order
        self.rows = []

    def prepare(self, batch):
        self.rows = list(self.plan(batch))

    def plan(self, batch):
        """Of each row: its tokens of the step, its length, its block table."""
        starts = batch.query_starts_R1.tolist()
        for row, length in enumerate(self.lengths(batch)):
            yield slice(starts[row], starts[row + 1]), length, batch.block_ids_RB[row].long()

    def lengths(self, batch):
        return batch.lengths_R.tolist()

    def attend(self, q_TNH, cache, layer):
        o_TNH = q_TNH.new_empty(*q_TNH.shape[:2], cache.value_BSHD.shape[-1])
        for tokens, length, blocks in self.rows:
            o_TNH[tokens] = self.attend_row(q_TNH[tokens], cache, blocks, length, layer)
        return o_TNH

    def attend_together(self, q_TNH, k_TKH, v_TKH, layer):
        o_TNH = q_TNH.new_empty(*q_TNH.shape[:2], v_TKH.shape[-1])
        head_N = self.kv_head(q_TNH.shape[1], k_TKH.shape[1])
        for tokens, _, _ in self.rows:
            q, k, v = q_TNH[tokens], k_TKH[tokens][:, head_N], v_TKH[tokens][:, head_N]
            scores = self.scores(q.float(), k.float(), layer)
            if layer.distance_bias_ND is not None:
                place_L = torch.arange(len(q)) + layer.distance_bias_ND.shape[1] // 2
                scores += layer.distance_bias_ND[:, place_L - torch.arange(len(q))[:, None]]
            scores = scores.masked_fill(self.is_far(len(q), layer), -torch.inf)
            o_TNH[tokens] = self.mix(scores.softmax(-1), v, q.dtype)
        return o_TNH

    def is_far(self, length, layer):
        place_L = torch.arange(length)
        distance = (place_L[:, None] - place_L).abs()
        return distance >= (layer.window or length)

    def attend_row(self, q_TNH, cache, blocks, length, layer):
        num_queries, num_heads, _ = q_TNH.shape
        first = layer.first_seen(length - num_queries) if layer.causal else 0
        key_L = torch.arange(first, self.end(length), device=q_TNH.device)
        k_LKH, v_LKH = self.read(cache, blocks, key_L)
        head_N = self.kv_head(num_heads, k_LKH.shape[1])
        scores_NTL = self.scores(q_TNH.float(), k_LKH[:, head_N].float(), layer)
        query_T1 = torch.arange(length - num_queries, length, device=key_L.device).unsqueeze(1)
        hidden_TL = self.is_hidden(query_T1, key_L, layer) | (key_L >= length)
        p_NTL = self.probabilities(scores_NTL.masked_fill(hidden_TL, -torch.inf), layer)
        return self.mix(p_NTL, v_LKH[:, head_N], q_TNH.dtype)

    def end(self, length):
        return length

    def read(self, cache, blocks, key_L):
        places = blocks[key_L // self.block_size], key_L % self.block_size
        return cache.key_BSHD[places], cache.value_BSHD[places]

    def kv_head(self, num_heads, num_kv_heads):
        return torch.arange(num_heads) // (num_heads // num_kv_heads)

    def scores(self, q_TNH, k_LNH, layer):
        scores_NTL = torch.einsum("tnh,lnh->ntl", q_TNH, k_LNH) * layer.scale
        if layer.soft_cap is not None:
            scores_NTL = layer.soft_cap * torch.tanh(scores_NTL / layer.soft_cap)
        return scores_NTL

    def is_hidden(self, query_T1, key_L, layer):
        distance_TL = query_T1 - key_L
        hidden_TL = distance_TL < 0 if layer.causal else torch.zeros_like(distance_TL).bool()
        behind_TL = layer.are_behind(query_T1, key_L) if layer.causal else None
        return hidden_TL if behind_TL is None else hidden_TL | behind_TL

    def probabilities(self, scores_NTL, layer):
        if layer.sinks_N is None:
            return scores_NTL.softmax(-1)
        sinks_NT1 = layer.sinks_N.view(-1, 1, 1).expand(-1, scores_NTL.shape[1], 1)
        return torch.cat([scores_NTL, sinks_NT1], -1).softmax(-1)[..., :-1]

    def mix(self, p_NTL, v_LNH, dtype):
        return torch.einsum("ntl,lnh->tnh", p_NTL, v_LNH.float()).to(dtype)


def changed(layer, **fields):
    return type(layer)(
        **{name: getattr(layer, name) for name in layer.__slots__} | fields,
    )


class WindowOffByOne(Sound):
    def attend_row(self, q_TNH, cache, blocks, length, layer):
        wider = changed(layer, window=layer.window and layer.window + 1)
        return super().attend_row(q_TNH, cache, blocks, length, wider)


class ChunksAsWindows(Sound):
    """Sees as many tokens as the chunk has."""

    def attend_row(self, q_TNH, cache, blocks, length, layer):
        window = layer.window or layer.chunk_size
        return super().attend_row(
            q_TNH, cache, blocks, length, changed(layer, window=window, chunk_size=None)
        )


class LooksBackAlone(Sound):
    """In encoders too."""

    def is_far(self, length, layer):
        place_L = torch.arange(length)
        return super().is_far(length, layer) | (place_L > place_L[:, None])


class OneRowForAll(Sound):
    """Tokens of an encoder's step see those of all rows."""

    def attend_together(self, q_TNH, k_TKH, v_TKH, layer):
        self.rows = [(slice(0, len(q_TNH)), len(q_TNH), None)]
        return super().attend_together(q_TNH, k_TKH, v_TKH, layer)


class OwnScale(Sound):
    def scores(self, q_TNH, k_LNH, layer):
        return super().scores(q_TNH, k_LNH, changed(layer, scale=q_TNH.shape[-1] ** -0.5))


class SoftCapIgnored(Sound):
    def scores(self, q_TNH, k_LNH, layer):
        return super().scores(q_TNH, k_LNH, changed(layer, soft_cap=None))


class SoftCapBeforeScale(Sound):
    def scores(self, q_TNH, k_LNH, layer):
        return super().scores(q_TNH, k_LNH, changed(layer, scale=1.0)) * layer.scale


class SinksIgnored(Sound):
    def probabilities(self, scores_NTL, layer):
        return scores_NTL.softmax(-1)


class ValuesBehindTheLatent(Sound):
    def read(self, cache, blocks, key_L):
        keys, values = super().read(cache, blocks, key_L)
        return keys, keys[..., -values.shape[-1] :]


class InterleavedHeads(Sound):
    def kv_head(self, num_heads, num_kv_heads):
        return torch.arange(num_heads) % num_kv_heads


class WholeBlocks(Sound):
    """Hides the scores of slots past the end, but zero times NaN is NaN."""

    def end(self, length):
        return -(-length // self.block_size) * self.block_size


class CausalFromTheStart(Sound):
    """As if a row's queries were its first tokens."""

    def is_hidden(self, query_T1, key_L, layer):
        return super().is_hidden(query_T1 - query_T1[0], key_L - key_L[0], layer)


class CleansTheCache(Sound):
    def attend(self, q_TNH, cache, layer):
        cache.value_BSHD.nan_to_num_()
        return super().attend(q_TNH, cache, layer)


class HalfPrecisionSums(Sound):
    def mix(self, p_NTL, v_LNH, dtype):
        o_TNH = torch.zeros(p_NTL.shape[1], *v_LNH.shape[1:], dtype=dtype, device=v_LNH.device)
        for p_NTB, v_BNH in zip(p_NTL.split(16, -1), v_LNH.split(16), strict=True):
            o_TNH += super().mix(p_NTB, v_BNH, dtype)
        return o_TNH


class StalePlan(Sound):
    """Plans again only where the number of rows has changed."""

    def prepare(self, batch):
        if len(batch.query_lengths) != len(self.rows) or batch.query_lengths != self.lengths_seen:
            super().prepare(batch)
        self.lengths_seen = list(batch.query_lengths)


class StaleWindow(Sound):
    def prepare(self, batch):
        super().prepare(batch)
        self.window = ()

    def attend(self, q_TNH, cache, layer):
        self.window = self.window or (layer.window,)
        return super().attend(q_TNH, cache, changed(layer, window=self.window[0]))


class DenseQueries(Sound):
    """Reads queries as if no others lay between them."""

    def attend(self, q_TNH, cache, layer):
        _, num_heads, size = q_TNH.shape
        dense = q_TNH.as_strided(q_TNH.shape, (num_heads * size, size, 1))
        return super().attend(dense, cache, layer)


class WideOutputs(Sound):
    def attend(self, q_TNH, cache, layer):
        return super().attend(q_TNH, cache, layer).float()


class HostLengths(Sound):
    def lengths(self, batch):
        return batch.lengths


class NeverPrepared(Sound):
    def close(self):
        self.rows[0]


class OrderOfNobody(Sound):
    pass


class BfloatIsPlain(Sound):
    """Another kernel runs in bfloat16, which knows neither windows nor sinks."""

    def attend(self, q_TNH, cache, layer):
        if q_TNH.dtype == torch.bfloat16:
            layer = changed(layer, window=None, sinks_N=None)
        return super().attend(q_TNH, cache, layer)


class SoftCapInHalfOnly(SoftCapIgnored):
    pass


class GroupsUpTo8(Sound):
    """A tile has eight query heads of a kv head; others read on as if it were the next one's."""

    def kv_head(self, num_heads, num_kv_heads):
        group = min(8, num_heads // num_kv_heads)
        return (torch.arange(num_heads) // group).clamp(max=num_kv_heads - 1)


class SinksInEachSplit(Sound):
    """Keys in splits of 1024, each of which adds the sink."""

    def probabilities(self, scores_NTL, layer):
        if layer.sinks_N is not None:
            num_splits = torch.tensor(-(-scores_NTL.shape[-1] // 1024))
            layer = changed(layer, sinks_N=layer.sinks_N + num_splits.log())
        return super().probabilities(scores_NTL, layer)


class BlockIdsOf16Bits(Sound):
    def plan(self, batch):
        for tokens, length, blocks in super().plan(batch):
            yield tokens, length, blocks.short().long()


class PeakNotSubtracted(Sound):
    def probabilities(self, scores_NTL, layer):
        p_NTL = scores_NTL.exp()
        sinks = 0 if layer.sinks_N is None else layer.sinks_N.exp().view(-1, 1, 1)
        return p_NTL / (p_NTL.sum(-1, keepdim=True) + sinks)


class ScaledTooLate(Sound):
    """Products leave the first operator in the dtype of the queries; the scale comes after it."""

    def attend(self, q_TNH, cache, layer):
        self.dtype = q_TNH.dtype
        return super().attend(q_TNH, cache, layer)

    def scores(self, q_TNH, k_LNH, layer):
        products = torch.einsum("tnh,lnh->ntl", q_TNH, k_LNH).to(self.dtype).float()
        return super().scores(q_TNH, k_LNH, layer) + 0 * products


class PlanOfEqualLengths(Sound):
    """Plans again only where a row has become longer."""

    def prepare(self, batch):
        lengths = list(batch.query_lengths), list(batch.lengths)
        if lengths != getattr(self, "lengths_seen", None):
            super().prepare(batch)
        self.lengths_seen = lengths


class HostLengthsOfWindows(Sound):
    """The lengths of the device decide, but windows begin where the host's bounds say."""

    def prepare(self, batch):
        super().prepare(batch)
        self.slack = [h - d for h, d in zip(batch.lengths, batch.lengths_R.tolist(), strict=True)]

    def attend(self, q_TNH, cache, layer):
        narrow = layer.window and max(1, layer.window - max(self.slack))
        return super().attend(q_TNH, cache, changed(layer, window=narrow))


class Recordable(Sound):
    """Causal steps run in a graph: each token is a row of its own, and what differs between steps stands in buffers.

    T tokens, B blocks, L tokens of the longest row.
    """

    def __init__(self, group, layout, limits):
        super().__init__(group, layout, limits)
        width, device = -(-limits.max_length // layout.block_size), limits.device
        size = limits.max_step_tokens
        self.table_TB = torch.zeros(size, width, dtype=torch.int64, device=device)
        self.length_T = torch.zeros(size, dtype=torch.int64, device=device)
        self.key_L = torch.arange(width * layout.block_size, device=device)

    def prepare(self, batch):
        super().prepare(batch)
        row_T = self.rows_of_tokens(batch)
        last_T = batch.query_starts_R1[1:].long()[row_T] - 1
        token_T = torch.arange(len(row_T), device=row_T.device)
        self.length_T[: len(row_T)] = batch.lengths_R[row_T] - (last_T - token_T)
        self.table_TB[: len(row_T), : batch.block_ids_RB.shape[1]] = batch.block_ids_RB[row_T]

    def rows_of_tokens(self, batch):
        counts_R = batch.query_starts_R1.diff().long()
        return torch.arange(len(counts_R), device=counts_R.device).repeat_interleave(counts_R)

    def attend(self, q_TNH, cache, layer):
        is_local = layer.window or layer.chunk_size
        if not layer.causal or is_local or layer.soft_cap or layer.sinks_N is not None:
            return super().attend(q_TNH, cache, layer)
        tokens, offset_L = slice(len(q_TNH)), self.key_L % self.block_size
        blocks_TL = self.table_TB[tokens, self.key_L // self.block_size]
        head_N = self.kv_head(q_TNH.shape[1], cache.key_BSHD.shape[2]).tolist()
        unseen_TL = self.key_L >= self.length_T[tokens].unsqueeze(1)
        k_TLKH, v_TLKH = (
            x[blocks_TL, offset_L].float().masked_fill(unseen_TL[..., None, None], 0.0)
            for x in (cache.key_BSHD, cache.value_BSHD)
        )
        k_TLNH, v_TLNH = (
            torch.stack([x[:, :, head] for head in head_N], 2) for x in (k_TLKH, v_TLKH)
        )
        scores_TNL = torch.einsum("tnh,tlnh->tnl", q_TNH.float(), k_TLNH) * layer.scale
        p_TNL = scores_TNL.masked_fill(unseen_TL.unsqueeze(1), -torch.inf).softmax(-1)
        return torch.einsum("tnl,tlnh->tnh", p_TNL, v_TLNH).to(q_TNH.dtype)


class RecordsItsLengths(Recordable):
    """Puts new lengths into a new tensor, which a graph never sees."""

    def prepare(self, batch):
        self.length_T = self.length_T.clone()
        super().prepare(batch)


class RecordsItsRows(Recordable):
    """Takes which token is of which row from the first step with so many tokens."""

    def rows_of_tokens(self, batch):
        row_T = super().rows_of_tokens(batch)
        self.seen = getattr(self, "seen", {})
        return self.seen.setdefault(len(row_T), row_T)
