"""Two ways to add what adapters add: for one adapter after another, or for all in one product under a mask."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_lora.parts import PartShare, Product


class Step:
    """Which tokens of the step at hand have which adapter."""

    def __init__(self, num_slots: int, slots_S: Tensor) -> None:
        self.num_slots = num_slots
        self._slots_S = slots_S  # int64: 1, 2, ...
        # For RowsAddition: slots with their tokens, in order; None: all tokens.
        self.groups: list[tuple[int, Tensor | None]] = []
        # For AllAddition: True where the token has the adapter of the slot.
        self.mask_TS: Tensor | None = None

    def group(self, slots: Sequence[int], num_tokens: Sequence[int]) -> None:
        """Sort the tokens by adapter, on the host. There is a slot for each row."""
        used = sorted({*slots})
        if len(used) == 1:
            self.groups = [(used[0], None)]
            return
        slot_T = torch.tensor(slots).repeat_interleave(torch.tensor(num_tokens))
        self.groups = [(slot, (slot_T == slot).nonzero().view(-1)) for slot in used if slot]

    def mask(
        self, slot_R: Tensor, rows_R: Tensor, query_starts_R1: Tensor, num_tokens: int
    ) -> None:
        """Derive the mask on the device, from the slot of each row of the worker."""
        token_T = torch.arange(num_tokens, device=slot_R.device, dtype=query_starts_R1.dtype)
        place_T = torch.searchsorted(query_starts_R1[1:], token_T, right=True)
        slot_T = slot_R.index_select(0, rows_R.long().index_select(0, place_T))
        self.mask_TS = slot_T[:, None] == self._slots_S


class RowsAddition:
    """Gathers the tokens of one adapter after another (Chen et al. 2023 call it gather-BMM-scatter)."""

    def __init__(
        self,
        shares: Sequence[PartShare],
        step: Step,
        max_rank: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._step = step
        self._starts = [0, *accumulate(share.out_size for share in shares)]
        # By slot: A of all parts stacked, and for each part its ranks in A, its outputs, and B.
        self._slots: list[tuple[Tensor, list[tuple[slice, slice, Tensor]]] | None]
        self._slots = [None] * (step.num_slots + 1)

    def fill(self, slot: int, products: Sequence[Product | None]) -> None:
        """Set the weights of a slot, with a product for each part, None for parts that it leaves as they are."""
        pieces, parts, rank = [], [], 0
        for index, product in enumerate(products):
            if product is not None:
                size = len(product.a_RI)
                outputs = slice(self._starts[index], self._starts[index + 1])
                parts.append((slice(rank, rank + size), outputs, product.b_OR.contiguous()))
                pieces.append(product.a_RI)
                rank += size
        self._slots[slot] = (torch.cat(pieces), parts) if pieces else None

    def __call__(self, x_TI: Tensor, y_TO: Tensor) -> None:
        for slot, tokens_M in self._step.groups:
            held = self._slots[slot]
            if held is None:
                continue
            a_RI, parts = held
            x_MI = x_TI if tokens_M is None else x_TI.index_select(0, tokens_M)
            h_MR = F.linear(x_MI, a_RI)
            for ranks, outputs, b_OR in parts:
                added_MO = F.linear(h_MR[:, ranks], b_OR)
                if tokens_M is None:
                    y_TO[:, outputs] += added_MO
                else:
                    y_TO[:, outputs].index_add_(0, tokens_M, added_MO)


class AllAddition:
    """One product with A of all adapters, a mask that leaves each token its own, and one product with B for each part.

    Its operations depend on no number that the host must know, so a graph can record them. Its cost grows with
    slots * rank, which is small beside the linear.
    """

    def __init__(
        self,
        shares: Sequence[PartShare],
        step: Step,
        max_rank: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._step = step
        self._starts = [0, *accumulate(share.out_size for share in shares)]
        self._shape = (len(shares), step.num_slots, max_rank)
        in_size, rank = shares[0].in_size, step.num_slots * max_rank
        self._a_PSRI = torch.zeros((*self._shape, in_size), dtype=dtype, device=device)
        self._b = [
            torch.zeros((share.out_size, rank), dtype=dtype, device=device) for share in shares
        ]

    def fill(self, slot: int, products: Sequence[Product | None]) -> None:
        """As of RowsAddition. Smaller ranks are padded with zeros."""
        first = (slot - 1) * self._shape[2]
        for index, product in enumerate(products):
            a_RI = self._a_PSRI[index, slot - 1]
            b_OR = self._b[index][:, first : first + self._shape[2]]
            a_RI.zero_()
            b_OR.zero_()
            if product is not None:
                rank = len(product.a_RI)
                a_RI[:rank].copy_(product.a_RI)
                b_OR[:, :rank].copy_(product.b_OR)

    def __call__(self, x_TI: Tensor, y_TO: Tensor) -> None:
        mask_TS = self._step.mask_TS
        assert mask_TS is not None, "start_pass() comes first"
        h_TPSR = F.linear(x_TI, self._a_PSRI.flatten(0, 2)).view(len(x_TI), *self._shape)
        h_TPSR = h_TPSR * mask_TS[:, None, :, None]
        for index, b_OR in enumerate(self._b):
            y_TO[:, self._starts[index] : self._starts[index + 1]].addmm_(
                h_TPSR[:, index].flatten(1), b_OR.t()
            )
