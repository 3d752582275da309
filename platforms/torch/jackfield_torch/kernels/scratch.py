"""The memory in which the parts of split products meet."""

from __future__ import annotations

import torch

# Elements that all concurrent programs hold, on the largest chips.
MOST_PARTS = 132 * 2 * 128 * 64
_MOST_QUEUES = 1 << 14


class Scratch:
    """Parts, and how many of each queue have arrived. A device has one, since products run one after another."""

    def __init__(self, device: torch.device) -> None:
        self.parts = torch.empty(MOST_PARTS, dtype=torch.float32, device=device)
        self.counters = torch.zeros(_MOST_QUEUES, dtype=torch.int32, device=device)

    def holds(self, num_programs: int, num_elements: int) -> bool:
        """True if there is room for this number of programs and of elements."""
        return num_programs * num_elements <= len(self.parts) and num_programs <= len(self.counters)
