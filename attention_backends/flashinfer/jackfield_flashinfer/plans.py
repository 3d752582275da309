"""FlashInfer's wrappers: one for steps with prompts, and one for each number of rows with one query, for graphs."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from jackfield.cache import CacheLayout
from jackfield_flashinfer.pages import PageLists, Pages
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.attention import AttentionLimits, LayerAttention

logger = logging.getLogger(__name__)

_LINES = 16  # queries times heads, in a tile of its kernel for short rows
_LEAST_WORKSPACE = 128 << 20  # bytes for parts of split rows, as FlashInfer recommends
_PLAN_BYTES = 2 << 20  # bytes of a plan, on the device and on the host
_COMPILED_S = 2.0  # a first plan that takes longer has compiled kernels
_WORKSPACES: WeakValueDictionary[torch.device, Tensor] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class KindOfLayer:
    """The facts that a plan depends on. Layers with equal facts share a plan."""

    scale: float
    window: int | None
    soft_cap: float | None
    causal: bool

    @classmethod
    def of(cls, layer: LayerAttention) -> KindOfLayer:
        """The kind of a layer."""
        return cls(layer.scale, layer.window, layer.soft_cap, layer.causal)


class Plan:
    """A wrapper, and an event after which the host memory of its last plan can be reused."""

    def __init__(self, wrapper: Any, device: torch.device) -> None:
        self._wrapper = wrapper
        self._is_async = device.type == "cuda"
        self._sent: torch.cuda.Event | None = None

    def make(self, *args: Any, **settings: Any) -> Plan:
        """Plan for a step."""
        if self._sent is not None:
            # Passed long ago, unless this plan follows one for a step that has not begun.
            self._sent.synchronize()
        self._wrapper.plan(*args, **settings)
        if self._is_async:
            self._sent = self._sent or torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._sent.record()
        return self

    def run(self, q_TNH: Tensor, key_BSHD: Tensor, value_BSHD: Tensor, o_TNH: Tensor) -> Tensor:
        """Run one layer. Writes and returns o_TNH."""
        output: Tensor = self._wrapper.run(q_TNH, (key_BSHD, value_BSHD), out=o_TNH)
        return output


class Plans:
    """Makes plans. Wrappers live as long as this object."""

    def __init__(
        self, layout: CacheLayout, limits: AttentionLimits, library: ModuleType, lists: PageLists
    ) -> None:
        self._layout, self._limits, self._library, self._lists = layout, limits, library, lists
        self._workspace = _workspace(limits)
        self._wrappers: dict[tuple[KindOfLayer, int], Plan] = {}
        self._plan_buffers: dict[KindOfLayer, Tensor] = {}
        self._seen: set[tuple[bool, bool]] = set()  # kernels that were compiled or loaded before

    def make(self, kind: KindOfLayer, pages: Pages) -> Plan:
        """The plan for such layers in this step."""
        is_single = int(pages.query_starts_R1[-1]) == pages.num_rows
        key = kind, pages.num_rows if is_single else 0
        plan = self._wrappers.get(key)
        if plan is None:
            wrapper = self._single(kind, pages.num_rows) if is_single else self._several(kind)
            plan = self._wrappers[key] = Plan(wrapper, self._limits.device)
        started = self._announce(kind)
        lists = pages.starts_R1, pages.ids, pages.last_lengths_R
        settings = self._settings(kind)
        if is_single:
            plan.make(*lists, **settings, head_dim=self._limits.head_size)
        else:
            settings |= {"causal": kind.causal, "head_dim_qk": self._limits.head_size}
            plan.make(pages.query_starts_R1, *lists, **settings)
        if started is not None and (spent_s := time.perf_counter() - started) > _COMPILED_S:
            logger.warning("FlashInfer's kernels are compiled, after %.0f s", spent_s)
        return plan

    def close(self) -> None:
        """Drop wrappers and their memory."""
        self._wrappers.clear()
        self._plan_buffers.clear()
        self._workspace = self._workspace.new_empty(0)

    def _settings(self, kind: KindOfLayer) -> dict[str, Any]:
        limits = self._limits
        return {
            "num_qo_heads": limits.num_heads,
            "num_kv_heads": limits.num_kv_heads,
            "page_size": self._layout.block_size,
            "sm_scale": kind.scale,
            "window_left": -1 if kind.window is None else kind.window - 1,
            "logits_soft_cap": kind.soft_cap,
            "q_data_type": limits.dtype,
            "kv_data_type": torch_dtype(self._layout.dtype),
        }

    def _several(self, kind: KindOfLayer) -> Any:
        wrapper = self._library.BatchPrefillWithPagedKVCacheWrapper(
            self._workspace, "NHD", backend="fa2"
        )
        return self._with_own_plans(wrapper, kind)

    def _single(self, kind: KindOfLayer, num_rows: int) -> Any:
        """A wrapper with tensor cores, whose kernels are those for prompts, so nothing more is compiled."""
        empty: dict[str, Any] = {"dtype": torch.int32, "device": self._limits.device}
        wrapper = self._library.BatchDecodeWithPagedKVCacheWrapper(
            self._workspace,
            "NHD",
            use_cuda_graph=True,
            use_tensor_cores=True,
            paged_kv_indptr_buffer=torch.zeros(num_rows + 1, **empty),
            paged_kv_indices_buffer=self._lists.buffer(),
            paged_kv_last_page_len_buffer=torch.zeros(num_rows, **empty),
            backend="fa2",
        )
        return self._with_own_plans(wrapper, kind)

    def _with_own_plans(self, wrapper: Any, kind: KindOfLayer) -> Any:
        """Let wrappers of a kind share the device memory of plans, because steps are computed one after another."""
        buffer = self._plan_buffers.get(kind)
        if buffer is None:
            buffer = torch.empty(_PLAN_BYTES, dtype=torch.uint8, device=self._limits.device)
            self._plan_buffers[kind] = buffer
        wrapper.reset_workspace_buffer(self._workspace, buffer)
        return wrapper

    def _announce(self, kind: KindOfLayer) -> float | None:
        """Log in advance that kernels may be compiled. Returns the time of the beginning; None if they were used before."""
        key = kind.window is not None, kind.soft_cap is not None
        if key in self._seen:
            return None
        self._seen.add(key)
        if not self._is_compiled(*key):
            logger.warning(
                "FlashInfer compiles kernels for heads of %d elements in %s%s with nvcc: half a minute, once; they are kept in %s",
                self._limits.head_size,
                str(self._limits.dtype).removeprefix("torch."),
                " with a window" if key[0] else "",
                _kernel_folder(),
            )
        return time.perf_counter()

    def _is_compiled(self, has_window: bool, has_cap: bool) -> bool:
        jit = getattr(self._library, "jit", None)
        if jit is None or not hasattr(jit, "gen_batch_prefill_module"):
            return True  # in other releases this cannot be found out, so only the end is logged
        dtype, size = self._limits.dtype, self._limits.head_size
        stored = torch_dtype(self._layout.dtype)
        found = jit.gen_batch_prefill_module(
            "fa2", dtype, stored, dtype, torch.int32, size, size, 0, has_window, has_cap, False
        )
        return bool(found.is_aot or found.is_compiled)


def _workspace(limits: AttentionLimits) -> Tensor:
    """Memory for the parts of split rows, one for each device, because groups are computed one after another."""
    tiles = limits.max_rows * -(-limits.num_heads // limits.num_kv_heads // _LINES)
    parts = limits.num_heads * tiles * _LINES * (limits.head_size + 2) * 4
    size = max(_LEAST_WORKSPACE if limits.device.type == "cuda" else 0, parts + parts // 8)
    found = _WORKSPACES.get(limits.device)
    if found is None or found.numel() < size:
        found = torch.zeros(size, dtype=torch.uint8, device=limits.device)
        _WORKSPACES[limits.device] = found
    return found


def _kernel_folder() -> Path:
    base = os.environ.get("FLASHINFER_WORKSPACE_BASE")
    return (Path(base) if base else Path.home()) / ".cache" / "flashinfer"
