"""The fused operations of the processor: each is one call of the native library, where torch needs several."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from jackfield_cpu.experts import NativeExperts, Scratch
from jackfield_cpu.heads import NativeHeads
from jackfield_cpu.kernels import CpuKernels
from jackfield_cpu.native import ACTIVATIONS, Gate, Norm
from jackfield_cpu.products import KnownOrders, NativeProduct, fits
from jackfield_torch.interfaces.kernels import (
    ExpertFacts,
    FewExperts,
    HeadFacts,
    HeadKernel,
    NarrowProduct,
    ProductFacts,
)
from jackfield_torch.interfaces.openmp import openmp_parallel

_DTYPES = (torch.bfloat16, torch.float32)


class FusedKernels(CpuKernels):
    """Native operations in float32 and bfloat16, torch's in other dtypes and for tensors that are not contiguous.

    Arguments are structures that are made once and filled for each call, so an object serves one thread.
    """

    def __init__(self, library: ctypes.CDLL, num_threads: int) -> None:
        super().__init__()
        self._library, self._num_threads, self._scratch = library, num_threads, Scratch()
        self._parallel = openmp_parallel()
        self._orders = KnownOrders(library)
        self._add_rms_norm = library.jackfield_add_rms_norm
        self._norm = Norm(num_threads=num_threads)
        self._norm_reference = ctypes.byref(self._norm)
        self._gate = library.jackfield_gate
        self._gated = Gate(num_threads=num_threads)
        self._gated_reference = ctypes.byref(self._gated)

    def add_rms_norm(
        self, x_TE: Tensor, branch_TE: Tensor | None, weight_E: Tensor, epsilon: float
    ) -> Tensor:
        """See Kernels."""
        dtype, call = x_TE.dtype, self._norm
        if dtype not in _DTYPES or not x_TE.is_contiguous():
            return super().add_rms_norm(x_TE, branch_TE, weight_E, epsilon)
        if branch_TE is None:
            call.branch = None
        elif branch_TE.dtype == dtype and branch_TE.is_contiguous():
            call.branch = branch_TE.data_ptr()
        else:
            return super().add_rms_norm(x_TE, branch_TE, weight_E, epsilon)
        y_TE = torch.empty_like(x_TE)
        size = weight_E.numel()
        call.x, call.weight, call.out = x_TE.data_ptr(), weight_E.data_ptr(), y_TE.data_ptr()
        call.num_rows, call.size = x_TE.numel() // size, size
        call.is_bf16, call.epsilon = dtype == torch.bfloat16, epsilon
        self._add_rms_norm(self._norm_reference, self._parallel)
        return y_TE

    def gate(self, activation: str, x_T2F: Tensor) -> Tensor:
        """See Kernels. Rounds once."""
        dtype, call = x_T2F.dtype, self._gated
        is_known = activation in ACTIVATIONS and dtype in _DTYPES
        if not is_known or not x_T2F.is_contiguous():
            return super().gate(activation, x_T2F)
        *shape, width = x_T2F.shape
        y_TF = torch.empty(*shape, width // 2, dtype=dtype)
        call.x, call.out = x_T2F.data_ptr(), y_TF.data_ptr()
        call.num_rows, call.size = x_T2F.numel() // width, width // 2
        call.activation, call.is_bf16 = ACTIVATIONS.index(activation), dtype == torch.bfloat16
        self._gate(self._gated_reference, self._parallel)
        return y_TF

    def head_kernel(self, facts: HeadFacts) -> HeadKernel | None:
        """See Kernels. None for heads that are larger than the library's longest."""
        if facts.head_size > self._library.jackfield_max_head_size():
            return None
        return NativeHeads(facts, self._library, self._parallel, self._num_threads)

    def narrow_product(self, facts: ProductFacts) -> NarrowProduct | None:
        """See Kernels. None unless the processor has the matrix unit, and the weights lie in an order that is known."""
        if not (self._library.jackfield_product_most_tokens() and fits(facts)):
            return None
        if not self._orders.holds(facts.weight_OI):
            return None
        return NativeProduct(facts, self._library, self._parallel, self._num_threads, self._scratch)

    def stacks_experts(self, dtype: torch.dtype, activation: str) -> bool:
        """True for what NativeExperts computes, on processors with vectors of 512 bits."""
        is_known = dtype in _DTYPES and activation in ACTIVATIONS
        return is_known and bool(self._library.jackfield_experts_serve())

    def few_experts(self, facts: ExpertFacts) -> FewExperts | None:
        """See Kernels. None for experts that are not stacked."""
        is_odd = facts.out_XOI.shape[1] % 2  # outputs are computed in two halves
        if is_odd or not self.stacks_experts(facts.into_XOI.dtype, facts.activation):
            return None
        return NativeExperts(facts, self._library, self._parallel, self._num_threads, self._scratch)
