"""The experts of a step in one call of the native library, over plain weights where they lie."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from jackfield_cpu.native import ACTIVATIONS, Experts
from jackfield_torch.interfaces.kernels import ExpertFacts, FewExperts

# Choices of a held expert, from which on torch's products are faster than vectors are. The matrix unit has no such limit.
_MOST_ROWS = 48
_NO_LIMIT = 1 << 40


class Scratch:
    """Memory that the layers of a worker share, since they run one after another. It stays as large as the largest step needed.

    New memory for each call would cost a sixth of a prompt's time, because the system clears it.
    """

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def take(self, num_bytes: int) -> int:
        """The address of at least so many bytes, until the next call."""
        if len(self._bytes) < num_bytes:
            self._bytes = torch.empty(num_bytes, dtype=torch.uint8)
        return self._bytes.data_ptr()


class NativeExperts(FewExperts):
    """Plain weights of all experts of a rank."""

    def __init__(
        self,
        facts: ExpertFacts,
        library: ctypes.CDLL,
        parallel: int | None,
        num_threads: int,
        scratch: Scratch,
    ) -> None:
        self._scratch = scratch
        self._facts = facts  # keeps the memory of the call's pointers alive
        self._run, self._bytes = library.jackfield_experts, library.jackfield_experts_bytes
        self._parallel = parallel
        num_experts, hidden, between = facts.out_XOI.shape
        self._call = Experts(
            into=facts.into_XOI.data_ptr(),
            into_bias=_pointer(facts.into_bias_XO),
            out=facts.out_XOI.data_ptr(),
            out_bias=_pointer(facts.out_bias_XO),
            hidden=hidden,
            between=between,
            num_experts=num_experts,
            first=facts.first,
            activation=ACTIVATIONS.index(facts.activation),
            is_bf16=facts.into_XOI.dtype == torch.bfloat16,
            num_threads=num_threads,
        )
        self._reference = ctypes.byref(self._call)
        uses_tiles = library.jackfield_experts_use_tiles(self._reference)
        self.most_choices = _NO_LIMIT if uses_tiles else _MOST_ROWS * num_experts

    def __call__(self, x_TE: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """See FewExperts."""
        call = self._call
        x_TE = x_TE if x_TE.stride(-1) == 1 else x_TE.contiguous()
        expert_TK, weight_TK = expert_TK.contiguous(), weight_TK.contiguous()
        y_TE = torch.empty(x_TE.shape, dtype=x_TE.dtype)
        call.num_tokens, call.top_k = expert_TK.shape
        call.x, call.x_stride = x_TE.data_ptr(), x_TE.stride(0)
        call.expert, call.weight = expert_TK.data_ptr(), weight_TK.data_ptr()
        call.y, call.scratch = y_TE.data_ptr(), self._scratch.take(self._bytes(self._reference))
        self._run(self._reference, self._parallel)
        return y_TE


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
