"""Fills the parameters and stored buffers that are not in our linears: embeddings, norms, stacked experts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from jackfield_torch.interfaces.foreign import ForeignContext
from jackfield_transformers.linears import put_tied_head, tied_parameters


def load_parameters(model: Any, context: ForeignContext) -> None:
    """Load each in the dtype that its class wants. Raises CheckpointError for a missing one."""
    tied = tied_parameters(model)
    linears = {source.prefix for source in context.spec.modules.values()}
    in_float32 = _patterns(model, context.dtype)
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name not in tied:
            dtype = _dtype(name, tensor, in_float32, context.dtype)
            _set(model, name, _read(name, tensor, context).to(context.device, dtype))
    for name, source in tied.items():
        path = name.rpartition(".")[0]
        table = model.get_parameter(source)
        if path in linears:
            put_tied_head(model, context, path, table.data)
        else:
            _set(model, name, table.data)


def _read(name: str, tensor: Tensor, context: ForeignContext) -> Tensor:
    module, _, leaf = name.rpartition(".")
    shape = tuple(tensor.shape)
    # The weight of a norm; a random one must be near one.
    if leaf == "weight" and tensor.dim() == 1:
        return context.parameters.norm_weight(module, shape[0], 1.0)
    return context.parameters.read(module, leaf, shape)


def _dtype(
    name: str, tensor: Tensor, in_float32: Iterable[re.Pattern[str]], dtype: torch.dtype
) -> torch.dtype:
    if not tensor.is_floating_point():
        return tensor.dtype
    if any(pattern.search(name) for pattern in in_float32):
        return torch.float32
    # Buffers keep the dtype that the code gave them.
    return dtype if isinstance(tensor, nn.Parameter) else tensor.dtype


def _patterns(model: Any, dtype: torch.dtype) -> list[re.Pattern[str]]:
    """Patterns of modules that stay in float32, some of them only with float16."""
    words = set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    if dtype == torch.float16:
        words |= set(getattr(model, "_keep_in_fp32_modules", None) or ())
    return [re.compile(rf"(^|\.){re.escape(word)}($|\.)") for word in words]


def _set(model: Any, name: str, tensor: Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path) if path else model
    if leaf in module._parameters:
        module._parameters[leaf] = nn.Parameter(tensor, requires_grad=False)
    else:
        module._buffers[leaf] = tensor
