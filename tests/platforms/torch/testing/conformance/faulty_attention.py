"""Attention a row at a time, and the same with one fault each. T queries, L tokens, N query heads, H head size."""

import torch

from jackfield_torch.interfaces.attention import Attention


class Sound(Attention):
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
        o_TNH = torch.empty_like(q_TNH, memory_format=torch.contiguous_format)
        for tokens, length, blocks in self.rows:
            o_TNH[tokens] = self.attend_row(q_TNH[tokens], cache, blocks, length, layer)
        return o_TNH

    def attend_row(self, q_TNH, cache, blocks, length, layer):
        num_queries, num_heads, _ = q_TNH.shape
        first = max(0, length - num_queries - layer.window + 1) if layer.window else 0
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
        return hidden_TL | (distance_TL >= layer.window) if layer.window else hidden_TL

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


class AlwaysCausal(Sound):
    def is_hidden(self, query_T1, key_L, layer):
        return super().is_hidden(query_T1, key_L, changed(layer, causal=True))


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


class BlocksInARow(Sound):
    def read(self, cache, blocks, key_L):
        blocks = blocks[0] + torch.arange(len(blocks), device=blocks.device)
        return super().read(cache, blocks % cache.key_BSHD.shape[0], key_L)


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


class StaleScale(Sound):
    """The first layer's, for all layers of a step."""

    def prepare(self, batch):
        super().prepare(batch)
        self.scale = None

    def scores(self, q_TNH, k_LNH, layer):
        self.scale = self.scale or layer.scale
        return super().scores(q_TNH, k_LNH, changed(layer, scale=self.scale))


class StaleWindow(Sound):
    def prepare(self, batch):
        super().prepare(batch)
        self.window = ()

    def attend(self, q_TNH, cache, layer):
        self.window = self.window or (layer.window,)
        return super().attend(q_TNH, cache, changed(layer, window=self.window[0]))


class LongestFirst(Sound):
    """Sorts the rows, and leaves the outputs sorted."""

    def attend(self, q_TNH, cache, layer):
        ordered = sorted(self.rows, key=lambda row: -row[1])
        outputs = [
            self.attend_row(q_TNH[tokens], cache, blocks, length, layer)
            for tokens, length, blocks in ordered
        ]
        return torch.cat(outputs)


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


class OneOrderOnly(Sound):
    """Takes all layouts for the first that it declares."""

    def attend(self, q_TNH, cache, layer):
        blocks, slots, heads, size = cache.key_BSHD.shape
        strides = slots * size, size, blocks * slots * size, 1
        keys = cache.key_BSHD.as_strided((blocks, slots, heads, size), strides)
        return super().attend(q_TNH, type(cache)(keys, cache.value_BSHD), layer)


class Dither(Sound):
    def mix(self, p_NTL, v_LNH, dtype):
        noise = torch.rand(p_NTL.shape, device=p_NTL.device)
        return super().mix(p_NTL * (1 + 1e-7 * noise), v_LNH, dtype)


class NeverPrepared(Sound):
    def close(self):
        self.rows[0]


class OrderOfNobody(Sound):
    pass


class Recordable(Sound):
    """Rows of one query run in a graph: all that differs between steps stands in buffers. R rows, B blocks."""

    def __init__(self, group, layout, limits):
        super().__init__(group, layout, limits)
        width, device = -(-limits.max_length // layout.block_size), limits.device
        self.table_RB = torch.zeros(limits.max_rows, width, dtype=torch.int64, device=device)
        self.lengths_R = torch.zeros(limits.max_rows, dtype=torch.int64, device=device)
        self.key_L = torch.arange(limits.max_length, device=device)

    def prepare(self, batch):
        super().prepare(batch)
        self.is_uniform = set(batch.query_lengths) == {1}
        num_rows, width = batch.block_ids_RB.shape
        self.num_rows = num_rows
        self.table_RB[:num_rows, :width] = batch.block_ids_RB
        self.lengths_R[:num_rows] = batch.lengths_R

    def attend(self, q_TNH, cache, layer):
        if not self.is_uniform or layer.window or layer.soft_cap or layer.sinks_N is not None:
            return super().attend(q_TNH, cache, layer)
        rows, offset_L = slice(self.num_rows), self.key_L % self.block_size
        blocks_RL = self.table_RB[rows, self.key_L // self.block_size]
        head_N = self.kv_head(q_TNH.shape[1], cache.key_BSHD.shape[2]).tolist()
        unseen_RL = self.key_L >= self.lengths_R[rows].unsqueeze(1)
        k_RLKH, v_RLKH = (
            x[blocks_RL, offset_L].float().masked_fill(unseen_RL[..., None, None], 0.0)
            for x in (cache.key_BSHD, cache.value_BSHD)
        )
        k_RLNH, v_RLNH = (
            torch.stack([x[:, :, head] for head in head_N], 2) for x in (k_RLKH, v_RLKH)
        )
        scores_RNL = torch.einsum("rnh,rlnh->rnl", q_TNH.float(), k_RLNH) * layer.scale
        p_RNL = scores_RNL.masked_fill(unseen_RL.unsqueeze(1), -torch.inf).softmax(-1)
        return torch.einsum("rnl,rlnh->rnh", p_RNL, v_RLNH).to(q_TNH.dtype)


class RecordsItsLengths(Recordable):
    """Puts new lengths into a new tensor, which a graph never sees."""

    def prepare(self, batch):
        self.lengths_R = self.lengths_R.clone()
        super().prepare(batch)
