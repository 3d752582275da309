"""Norms of heads, rotation and writing of keys and values into the cache: one native call for each layer."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from jackfield_cpu.native import Heads
from jackfield_torch.interfaces.attention import LayerCache
from jackfield_torch.interfaces.kernels import HeadFacts

_DTYPES = (torch.bfloat16, torch.float32)


class NativeHeads:
    """A HeadKernel of one layer. It reads where the layer's cache lies at the first call, and again if that changes."""

    def __init__(
        self, facts: HeadFacts, library: ctypes.CDLL, parallel: int | None, num_threads: int
    ) -> None:
        weight_MH = facts.norm_weight_MH
        # Kept: the call points to its memory.
        self._weight_MH = None if weight_MH is None else weight_MH.contiguous()
        self._num_heads, self._head_size = facts.num_heads, facts.head_size
        self._cache: LayerCache | None = None
        self._heads = library.jackfield_heads
        self._parallel = parallel
        self._call = Heads(
            weight=None if self._weight_MH is None else self._weight_MH.data_ptr(),
            num_heads=facts.num_heads,
            num_kv_heads=facts.num_kv_heads,
            head_size=facts.head_size,
            rotary_size=facts.rotary_size,
            interleaved=facts.interleaved,
            num_threads=num_threads,
            epsilon=facts.norm_epsilon,
        )
        self._by_reference = ctypes.byref(self._call)

    def __call__(
        self, qkv_TMH: Tensor, cos_T1P: Tensor, sin_T1P: Tensor, cache: LayerCache, slots_T: Tensor
    ) -> Tensor:
        """See HeadKernel."""
        dtype, call = qkv_TMH.dtype, self._call
        if cache is not self._cache:
            if dtype not in _DTYPES or cache.key_BSHD.dtype != dtype:
                return self._widened(qkv_TMH, cos_T1P, sin_T1P, cache, slots_T)
            self._point_to(cache)
        token_stride, *others = qkv_TMH.stride()
        if others != [self._head_size, 1]:
            qkv_TMH = qkv_TMH.contiguous()
            token_stride = qkv_TMH.stride(0)
        num_tokens = qkv_TMH.shape[0]
        q_TNH = torch.empty(num_tokens, self._num_heads, self._head_size, dtype=dtype)
        call.qkv, call.query = qkv_TMH.data_ptr(), q_TNH.data_ptr()
        call.cos, call.sin = cos_T1P.data_ptr(), sin_T1P.data_ptr()
        call.slots = slots_T.data_ptr()
        call.num_tokens, call.qkv_stride = num_tokens, token_stride
        call.cos_stride, call.sin_stride = cos_T1P.stride(0), sin_T1P.stride(0)
        self._heads(self._by_reference, self._parallel)
        return q_TNH

    def _point_to(self, cache: LayerCache) -> None:
        call, key, value = self._call, cache.key_BSHD, cache.value_BSHD
        call.key, call.value = key.data_ptr(), value.data_ptr()
        call.block_size, call.is_bf16 = key.shape[1], key.dtype == torch.bfloat16
        call.block_stride, call.slot_stride, call.head_stride, _ = key.stride()
        call.value_block_stride, call.value_slot_stride, call.value_head_stride, _ = value.stride()
        self._cache = cache

    def _widened(
        self, qkv_TMH: Tensor, cos_T1P: Tensor, sin_T1P: Tensor, cache: LayerCache, slots_T: Tensor
    ) -> Tensor:
        """For float16, or a cache of another dtype: in float32, into a cache of this step's tokens alone, which torch copies to their slots."""
        num_tokens, block_size = qkv_TMH.shape[0], cache.key_BSHD.shape[1]
        shape = 2, num_tokens, 1, cache.key_BSHD.shape[2], self._head_size
        step = LayerCache(*torch.empty(shape))
        q_TNH = self(
            qkv_TMH.float(), cos_T1P.float(), sin_T1P.float(), step, torch.arange(num_tokens)
        )
        self._cache = None  # each layer would keep the memory of its last step
        places = slots_T // block_size, slots_T % block_size
        cache.key_BSHD[places] = step.key_BSHD[:, 0].to(cache.key_BSHD.dtype)
        cache.value_BSHD[places] = step.value_BSHD[:, 0].to(cache.value_BSHD.dtype)
        return q_TNH.to(qkv_TMH.dtype)
