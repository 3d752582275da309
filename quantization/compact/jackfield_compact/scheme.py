"""The base of the cards of schemes with compact weights. Imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from jackfield.decision import Reason
from jackfield.errors import CheckpointError
from jackfield.interfaces.card import Facts
from jackfield.stored_linear import StoredLinear
from jackfield_compact.kernel import WORDS, WORDS_ON_CARDS, Level, kernel_level
from jackfield_torch.interfaces.quantization import (
    LinearPart,
    QuantizationNeed,
    QuantizationScheme,
)

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import Linear, LinearShard


class CompactScheme(QuantizationScheme):
    """A scheme that says what it reads. Cutting, joining and multiplying are the same for all such schemes."""

    methods: ClassVar[tuple[str, ...]]  # each `quant_method` that it reads

    @abstractmethod
    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """The whole matrix of a part. Raises CheckpointError if it is not stored in the scheme's form."""

    def load(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """The whole matrix with the transforms of the spec undone."""
        return self.read(part, shard).undo(shard.transforms(part))

    def check_settings(self, settings: Mapping[str, Any]) -> Iterable[Reason]:
        """Reasons against parameters of a method; none unless overridden."""
        return ()

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """Raise CheckpointError if tensors of a linear are missing, or have shapes or types that `read` does not take.

        Asked before anything is loaded. Nothing is checked unless overridden.
        """

    def check(self, need: QuantizationNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse other methods, and what `check_settings` and `check_stored` refuse."""
        if need.method not in self.methods:
            words = " or ".join(self.methods)
            text = f"reads checkpoints of the method {words}, this one is {need.method}"
            return (Reason("method", text, f"take a checkpoint made by {words}"),)
        refused = tuple(self.check_settings(need.settings))
        return refused or tuple(self._faults(need))

    def _faults(self, need: QuantizationNeed) -> Iterator[Reason]:
        """The first fault in the stored tensors. Others mostly have the same cause."""
        for linear in need.stored:
            try:
                self.check_stored(linear, need.settings)
            except CheckpointError as error:
                yield Reason("stored", str(error))
                return

    def probe(self) -> Facts:
        """The level of the compiled kernel here, a number of `kernel.Level`, and whether Triton is installed.

        Raises OSError if the kernel does not load.
        """
        has_triton = find_spec("triton") is not None
        return {"kernel_level": int(kernel_level()), "triton": has_triton}

    def note(self, need: QuantizationNeed, facts: Facts) -> str:
        """How weights are stored and multiplied."""
        if need.device == "cuda" and facts.get("triton"):
            return f"weights are {WORDS_ON_CARDS}"
        if need.device != "cpu":
            return f"weights are {WORDS[Level.TORCH]} (pip install triton)"
        level = Level(int(facts["kernel_level"] or 0))
        if level == Level.TORCH:
            remedy = "install a C++ compiler, then reinstall jackfield-compact"
            return f"weights are {WORDS[level]}: the kernel was not compiled ({remedy})"
        return f"weights are {WORDS[level if need.dtype == 'bfloat16' else Level.PORTABLE]}"

    def can_fuse(self, parts: Sequence[LinearPart]) -> bool:
        """True for column-parallel parts of one input that all have a bias, or all have none."""
        return len({(part.in_size, part.bias) for part in parts}) == 1 and {
            part.split for part in parts
        } == {"column"}

    def create(self, parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
        """One linear over the parts; if their groups of inputs differ, one linear after another."""
        from jackfield_compact.build import build_linear

        return build_linear(parts, shard, self.load)
