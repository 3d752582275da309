"""The adapters of one rank: where their weights are, and which rows of a step have which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from jackfield.checkpoint.mapped_file import MappedFile
from jackfield.checkpoint.safetensors_header import parse_header
from jackfield.interfaces.adapters import AdapterFiles
from jackfield.interfaces.weights import TensorInfo
from jackfield.model_spec import ModelSpec
from jackfield_lora.additions import AllAddition, RowsAddition, Step
from jackfield_lora.parts import PartShare, Product
from jackfield_lora.peft import low_ranks
from jackfield_torch.adapted_modules import adapted_modules
from jackfield_torch.interfaces.adapters import AdapterContext
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.interfaces.running_adapters import Addition, RunningAdapters
from jackfield_torch.loader import tensor_of
from jackfield_torch.transforms import apply_transforms


def make_adapters(
    context: AdapterContext, num_slots: int, max_rank: int, batching: str
) -> RunningAdapters:
    """The adapters of a rank, none of them loaded."""
    computes_all = batching == "all" or (batching == "auto" and context.device != "cpu")
    kind = AllAddition if computes_all else RowsAddition
    device = torch.device(context.device)
    return LoraAdapters(context.spec, device, num_slots, max_rank, context.max_rows, kind)


class LoraAdapters(RunningAdapters):
    """Slots from 1 on hold adapters; slot 0 is none."""

    def __init__(
        self,
        spec: ModelSpec,
        device: torch.device,
        num_slots: int,
        max_rank: int,
        max_rows: int,
        kind: type[AllAddition] | type[RowsAddition],
    ) -> None:
        self._spec, self._device, self._kind = spec, device, kind
        self._modules = adapted_modules(spec)
        self._max_rank = max_rank
        self._slots: dict[str, int] = {}  # by name
        self._free = list(range(num_slots, 0, -1))
        self._additions: list[tuple[tuple[PartShare, ...], AllAddition | RowsAddition]] = []
        self._slot_of_row = [0] * (max_rows + 1)
        # The same on the device. The spare row, the last one, has slot 0.
        self._slot_R = torch.zeros(max_rows + 1, dtype=torch.int64, device=device)
        self._step = Step(num_slots, torch.arange(1, num_slots + 1, device=device))

    def addition(self, parts: Sequence[LinearPart], shard: LinearShard) -> Addition:
        shares = tuple(PartShare(part, shard) for part in parts)
        made = self._kind(shares, self._step, self._max_rank, shard.device, shard.dtype)
        self._additions.append((shares, made))  # appending is safe on several threads
        return made

    def load(self, adapter: AdapterFiles) -> None:
        slot = self._slots[adapter.name] = self._free.pop()
        low = low_ranks(adapter, self._spec, self._modules)
        file = MappedFile(Path(adapter.weights))
        try:
            stored = parse_header(file.path, file.view)

            def read(name: str) -> Tensor:
                found = stored[name]
                info = TensorInfo(name, found.dtype, found.shape, str(file.path))
                view = file.view[found.start : found.stop]
                return tensor_of(view, info, info.shape, copy=True).float()

            for shares, addition in self._additions:
                products: list[Product | None] = []
                for share in shares:
                    one = low.get(share.part.name)
                    if one is None:
                        products.append(None)
                        continue
                    b_OR = apply_transforms(read(one.b), one.transforms) * one.scale
                    products.append(share.cut(read(one.a), b_OR))
                addition.fill(slot, products)
        finally:
            file.close()

    def unload(self, name: str) -> None:
        slot = self._slots.pop(name)
        for shares, addition in self._additions:
            addition.fill(slot, [None] * len(shares))
        self._free.append(slot)

    def enter(self, row: int, name: str) -> None:
        slot = self._slots[name] if name else 0
        if self._slot_of_row[row] != slot:
            self._slot_of_row[row] = slot
            self._slot_R[row].fill_(slot)

    def begin(self, rows: Sequence[int], num_tokens: Sequence[int]) -> None:
        slots = [self._slot_of_row[row] for row in rows]
        self.is_active = any(slots)
        if self.is_active and self._kind is RowsAddition:
            self._step.group(slots, num_tokens)

    def start_pass(self, rows_R: Tensor, query_starts_R1: Tensor, num_tokens: int) -> None:
        if self._kind is AllAddition:
            self._step.mask(self._slot_R, rows_R, query_starts_R1, num_tokens)
