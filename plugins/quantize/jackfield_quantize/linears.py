"""Linears whose inputs and outputs can be watched while calibration runs. O outputs of all parts, I inputs, T tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield_quantize.matrices import Matrix
from jackfield_torch.interfaces.linear import Linear, LinearShard
from jackfield_torch.interfaces.quantization import (
    LinearPart,
    QuantizationNeed,
    QuantizationScheme,
)

_EXPERT = re.compile(r"\.experts\.\d+\.")
AnyMatrix = TypeVar("AnyMatrix", bound=Matrix)
Watch = Callable[[Tensor], None]
"""Gets the inputs [T, I] of each call."""
Bend = Callable[[Tensor], Tensor]
"""Gets the outputs [T, O] of each call, and returns those that the layer goes on with."""


class StudiedLinear(Linear):
    """Parts that share their input, with plain weights in float32 that may be replaced."""

    def __init__(
        self, parts: Sequence[LinearPart], weight_OI: Tensor, bias_O: Tensor | None
    ) -> None:
        self.parts = tuple(parts)
        self.weight_OI, self.bias_O = weight_OI, bias_O
        self.watch: Watch | None = None
        self.bend: Bend | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The logical modules in the order of their outputs."""
        return tuple(part.name for part in self.parts)

    @property
    def role(self) -> str:
        """The name of the first part without the number of an expert."""
        return _EXPERT.sub(".experts.", self.names[0])

    @property
    def is_expert(self) -> bool:
        """True: only some tokens reach this linear."""
        return self.role != self.names[0]

    def rows(self, name: str) -> slice:
        """The place of the outputs of a part."""
        start = 0
        for part in self.parts:
            if part.name == name:
                return slice(start, start + part.out_size)
            start += part.out_size
        raise KeyError(name)

    def split(self, matrix: AnyMatrix) -> dict[str, AnyMatrix]:
        """A matrix of all outputs, cut into the parts."""
        return {name: matrix.outputs(self.rows(name)) for name in self.names}

    def __call__(self, x_TI: Tensor) -> Tensor:
        if self.watch is not None:
            self.watch(x_TI)
        y_TO = F.linear(x_TI, self.weight_OI, self.bias_O)
        return y_TO if self.bend is None else self.bend(y_TO)


class StudyScheme(QuantizationScheme):
    """Reads plain weights and remembers the linears that it made, in the order in which they run."""

    def __init__(self) -> None:
        self.made: list[StudiedLinear] = []

    def check(self, need: QuantizationNeed, facts: Facts) -> tuple[Reason, ...]:
        """Accept every need: this scheme is not in any selection."""
        return ()

    def can_fuse(self, parts: Sequence[LinearPart]) -> bool:
        """True: parts that share an input are quantised together, with one sum over that input."""
        return len({(part.in_size, part.bias) for part in parts}) == 1

    def create(self, parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
        """See QuantizationScheme."""

        def whole(name: str) -> Tensor:
            found = [shard.read(part, name).to(shard.device, torch.float32) for part in parts]
            return torch.cat(found) if len(found) > 1 else found[0].contiguous()

        linear = StudiedLinear(parts, whole("weight"), whole("bias") if parts[0].bias else None)
        self.made.append(linear)
        return linear

    def take(self) -> list[StudiedLinear]:
        """The linears that were made since the last call."""
        made, self.made = self.made, []
        return made
