"""One forward pass without data, to find the attention of each layer of a model. Imports Transformers.

The model stands on the meta device, where tensors have shapes but no content, so this needs no memory whatever its
size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from jackfield.errors import UnsupportedModelError

NAME = "jackfield_trace"  # name of the attention implementation in configs
_NUM_TOKENS = 3
# Arguments of attention beside q, k and v: those that are read here, and those that do not change its result.
_READ = {"softcap", "sliding_window", "s_aux", "is_causal"}
_IDLE = {"position_ids", "position_embeddings", "output_attentions", "output_hidden_states"}
_IDLE |= {"use_cache", "cache_position", "attention_mask", "dropout", "scaling", "logits_to_keep"}
_FAR = 1 << 20  # a position behind any window


@dataclass(frozen=True, slots=True)
class Call:
    """One call of attention."""

    num_heads: int
    num_kv_heads: int
    head_size: int  # elements of a key or of a value, whichever is larger
    scale: float
    window: int | None
    soft_cap: float | None
    sinks: bool


@dataclass(frozen=True, slots=True)
class _Mask:
    """Stands for a mask. The tensor in its place is recognised by its identity."""

    window: int | None


class Tracer:
    """Collects the calls of one pass. Attention is not computed; its output is a tensor of the right shape."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        # By id of the tensor. The tensor is kept, so that no other one gets its id.
        self._masks: dict[int, tuple[Tensor, _Mask]] = {}

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Any = None,
        **more: Any,
    ) -> tuple[Tensor, None]:
        """Replaces attention: [1, heads, tokens, size] in, [1, tokens, heads, size] out."""
        if key.shape[2] != _NUM_TOKENS or query.shape[2] != _NUM_TOKENS:
            raise UnsupportedModelError("it attends to something else than the tokens of its text")
        self.calls.append(_call(query, key, value, self._meaning(attention_mask), more))
        return query.new_empty(1, _NUM_TOKENS, query.shape[1], value.shape[-1]), None

    def mask(self, mask_function: Callable[..., Tensor], **more: Any) -> Tensor:
        """Replaces the making of a mask: returns a tensor that `attend` recognises."""
        mask = torch.empty(1, 1, _NUM_TOKENS, _NUM_TOKENS, dtype=torch.bool, device="meta")
        self._masks[id(mask)] = mask, _Mask(_window(mask_function))
        return mask

    def _meaning(self, mask: Any) -> _Mask:
        if mask is None:
            return _Mask(None)
        known = self._masks.get(id(mask))
        if known is None:
            raise UnsupportedModelError("it makes attention masks of its own")
        return known[1]


_CURRENT: ContextVar[Tracer] = ContextVar("tracer")
AttentionInterface.register(NAME, lambda *given, **more: _CURRENT.get().attend(*given, **more))
AttentionMaskInterface.register(NAME, lambda *given, **more: _CURRENT.get().mask(*given, **more))


def trace(model: Any) -> list[Call]:
    """The calls of a forward pass, in order. Raises UnsupportedModelError if a paged cache cannot serve one of them."""
    tracer = Tracer()
    token = _CURRENT.set(tracer)
    try:
        _run(model)
    finally:
        _CURRENT.reset(token)
    if not tracer.calls:
        raise UnsupportedModelError(
            "its attention does not go through Transformers' AttentionInterface"
        )
    return tracer.calls


def _run(model: Any) -> None:
    positions = torch.arange(_NUM_TOKENS, device="meta")[None]
    model(
        input_ids=torch.zeros_like(positions),
        position_ids=positions,
        attention_mask=torch.ones_like(positions),
        use_cache=False,
    )


def as_facts(calls: list[Call]) -> list[dict[str, Any]]:
    """The calls as JSON values."""
    return [asdict(call) for call in calls]


def _call(query: Tensor, key: Tensor, value: Tensor, mask: _Mask, more: Mapping[str, Any]) -> Call:
    for name, given in more.items():
        if given is not None and name not in _READ | _IDLE and isinstance(given, Tensor):
            raise UnsupportedModelError(f"its attention is given {name!r}, which no backend reads")
    if more.get("is_causal") is False:
        raise UnsupportedModelError("its tokens see later ones")
    size = query.shape[-1]
    scale = more.get("scaling")
    if isinstance(scale, Tensor):
        raise UnsupportedModelError("the scale of its attention is no number")
    window = more.get("sliding_window")
    if window and mask.window not in (None, window):
        raise UnsupportedModelError(f"a mask of {mask.window} tokens meets a window of {window}")
    return Call(
        num_heads=query.shape[1],
        num_kv_heads=key.shape[1],
        head_size=max(size, value.shape[-1]),
        scale=size**-0.5 if scale is None else float(scale),
        window=mask.window or window or None,
        soft_cap=more.get("softcap") or None,
        sinks=more.get("s_aux") is not None,
    )


def _window(mask_function: Callable[..., Tensor]) -> int | None:
    """The window of a mask; None if all earlier tokens are seen. Raises UnsupportedModelError for other masks."""
    first = _first_seen(mask_function, _FAR)
    if first == 0:
        return None
    window = _FAR - first + 1
    if _first_seen(mask_function, _FAR - 7) != first - 7:
        raise UnsupportedModelError(f"it attends in chunks, of which one begins at {first}")
    return window


def _first_seen(mask_function: Callable[..., Tensor], position: int) -> int:
    zero = torch.zeros((), dtype=torch.long)
    keys = torch.arange(position + 2)
    try:
        seen = mask_function(zero, zero, torch.tensor(position), keys)
    except Exception as error:  # an error of any code in its closure
        raise UnsupportedModelError(
            "a mask of its attention depends on more than positions"
        ) from error
    seen = seen.expand(position + 2)
    if seen[-1] or not seen[position]:
        raise UnsupportedModelError("its tokens see later ones")
    first = int(seen.int().argmax())
    if not seen[first : position + 1].all():
        raise UnsupportedModelError("its tokens do not see all that lies between two that they see")
    return first
