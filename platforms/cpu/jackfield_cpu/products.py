"""Products of few tokens in one native call each, over the weights that oneDNN has packed for prompts."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from jackfield_cpu.experts import Scratch
from jackfield_cpu.native import ACTIVATIONS, Product
from jackfield_torch.interfaces.kernels import NarrowProduct, ProductFacts

# Of native/product.cpp: outputs of a panel, and inputs of a tile's row times two, below which oneDNN pads.
_PANEL, _INPUTS = 32, 64
_NO_GATE = -1


class NativeProduct(NarrowProduct):
    """Reads the packed weights where they lie, so nothing is held twice."""

    def __init__(
        self,
        facts: ProductFacts,
        library: ctypes.CDLL,
        parallel: int | None,
        num_threads: int,
        scratch: Scratch,
    ) -> None:
        self._facts = facts  # keeps the memory of the call's pointers alive
        self._scratch, self._parallel = scratch, parallel
        self._run, self._bytes = library.jackfield_product, library.jackfield_product_bytes
        self.most_tokens = library.jackfield_product_most_tokens()
        num_outputs, size = facts.weight_OI.shape
        self._outputs = num_outputs // 2 if facts.activation else num_outputs
        self._call = Product(
            norm=None if facts.norm_weight_I is None else facts.norm_weight_I.data_ptr(),
            weight=torch.ops.mkldnn.data_ptr(facts.weight_OI),
            bias=None if facts.bias_O is None else facts.bias_O.data_ptr(),
            size=size,
            num_outputs=num_outputs,
            activation=ACTIVATIONS.index(facts.activation) if facts.activation else _NO_GATE,
            num_threads=num_threads,
            epsilon=facts.norm_epsilon,
        )
        self._reference = ctypes.byref(self._call)

    def __call__(self, x_TI: Tensor, into_TO: Tensor | None = None) -> Tensor:
        """See NarrowProduct."""
        call, num_tokens = self._call, x_TI.shape[0]
        if x_TI.stride(-1) != 1:
            x_TI = x_TI.contiguous()
        y_TO = into_TO
        if y_TO is None:
            y_TO = torch.empty(num_tokens, self._outputs, dtype=torch.bfloat16)
        call.x, call.x_stride, call.num_tokens = x_TI.data_ptr(), x_TI.stride(0), num_tokens
        call.y, call.adds = y_TO.data_ptr(), into_TO is not None
        call.scratch = self._scratch.take(self._bytes(self._reference))
        self._run(self._reference, self._parallel)
        return y_TO


def fits(facts: ProductFacts) -> bool:
    """True for bfloat16 weights in oneDNN's order, in whole panels, with a gate that the library knows."""
    num_outputs, size = facts.weight_OI.shape
    parts = 2 if facts.activation else 1
    return (
        facts.weight_OI.is_mkldnn
        and facts.weight_OI.dtype == torch.bfloat16
        and num_outputs % (parts * _PANEL) == 0
        and size % _INPUTS == 0
        and (not facts.activation or facts.activation in ACTIVATIONS)
    )


class KnownOrders:
    """Which shapes oneDNN packs in the order that the library reads. oneDNN promises none, so each shape is tried once."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._known: dict[tuple[int, int], bool] = {}

    def holds(self, weight_OI: Tensor) -> bool:
        """True if the native product of one token with the packed weights is oneDNN's."""
        num_outputs, size = weight_OI.shape
        if (num_outputs, size) not in self._known:
            self._known[num_outputs, size] = self._is_read(weight_OI)
        return self._known[num_outputs, size]

    def _is_read(self, weight_OI: Tensor) -> bool:
        if torch.ops.mkldnn._nbytes(weight_OI) != weight_OI.numel() * weight_OI.element_size():
            return False
        x_1I = torch.linspace(-1, 1, weight_OI.shape[1], dtype=torch.bfloat16).view(1, -1)
        expected = torch.ops.mkldnn._linear_pointwise(x_1I, weight_OI, None, "none", [], "")
        facts = ProductFacts(weight_OI=weight_OI, bias_O=None)
        found = NativeProduct(facts, self._library, None, 1, Scratch())(x_1I)
        error = (found.float() - expected.float()).norm()
        return bool(error <= 0.02 * expected.float().norm())
