"""From the core's names of element types to torch's."""

from __future__ import annotations

import torch

from jackfield.dtypes import DType

_TORCH_NAMES = {"float8_e4m3": "float8_e4m3fn"}


def torch_dtype(dtype: DType) -> torch.dtype:
    """The torch dtype with that name."""
    found = getattr(torch, _TORCH_NAMES.get(dtype.name, dtype.name))
    assert isinstance(found, torch.dtype)
    return found
