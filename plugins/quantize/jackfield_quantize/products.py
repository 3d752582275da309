"""Fast matrix products for calibration on processors with bfloat16 instructions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def narrow_products() -> Iterator[None]:
    """Products of float32 are computed from bfloat16 where the processor is made for that: calibration needs no more.

    Sums stay in float32. With AMX a model passes several times as fast.
    """
    products = getattr(torch.backends.mkldnn, "matmul", None)  # from torch 2.9 on
    if products is None:
        yield
        return
    before = products.fp32_precision
    products.fp32_precision = "bf16"
    try:
        yield
    finally:
        products.fp32_precision = before
