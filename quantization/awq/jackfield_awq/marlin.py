"""Undoes the order of the Marlin kernel: tiles of 16 x 16 weights in the order of its threads' fragments.

Source: Frantar et al. 2024, *MARLIN: Mixed-Precision Auto-Regressive Parallel Inference on Large Language Models*.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

_TILE = 16
_OF_A_WORD = (0, 2, 4, 6, 1, 3, 5, 7)


def codes(stored: Tensor, num_inputs: int) -> Tensor:
    """uint8 [O, I] from the stored codes, [I/16, 16 O]."""
    order = _fragments()
    flat = torch.empty_like(stored)
    flat.view(-1, len(order))[:, order] = stored.reshape(-1, len(order))
    # The axes are input tile, output tile, input, output.
    tiles = flat.reshape(num_inputs // _TILE, -1, _TILE, _TILE)
    return tiles.permute(1, 3, 0, 2).reshape(-1, num_inputs).contiguous()


def scales(stored_GO: Tensor) -> Tensor:
    """[G, O] in order. A single group for all inputs is stored in another order than several groups."""
    order = _of_groups() if len(stored_GO) > 1 else _of_one_group()
    flat = torch.empty_like(stored_GO)
    flat.view(-1, len(order))[:, order] = stored_GO.reshape(-1, len(order))
    return flat


@cache
def _fragments() -> Tensor:
    """The place of each of the 1,024 codes of four tiles before the kernel's reordering."""
    order = []
    for thread in range(32):
        row, column = 2 * (thread % 4), thread // 4
        of_a_tile = [
            _TILE * (row + step) + column + half for half in (0, 8) for step in (0, 1, 8, 9)
        ]
        order += [tile * _TILE**2 + place for tile in range(4) for place in of_a_tile]
    return torch.tensor(order).view(-1, 8)[:, list(_OF_A_WORD)].flatten()


@cache
def _of_groups() -> Tensor:
    return torch.arange(64).view(8, 8).T.flatten()


@cache
def _of_one_group() -> Tensor:
    return torch.tensor([2 * i + j for i in range(4) for j in (0, 1, 8, 9, 16, 17, 24, 25)])
