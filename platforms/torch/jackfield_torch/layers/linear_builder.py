"""Turns logical linears of a spec into linears that run, fused if their scheme can."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jackfield.model_spec import FeedForward, ModelSpec
from jackfield_torch.interfaces.linear import ExpertLinear, Linear
from jackfield_torch.interfaces.quantization import LinearPart, QuantizationScheme
from jackfield_torch.interfaces.running_adapters import RunningAdapters
from jackfield_torch.layers.adapted import AdaptedLinear
from jackfield_torch.layers.linear import JoinedLinear
from jackfield_torch.linear_groups import stored_settings
from jackfield_torch.loader import WeightShard

SchemeOf = Callable[[LinearPart], QuantizationScheme]


def build_linear_of(parts: Sequence[LinearPart], schemes: SchemeOf, shard: WeightShard) -> Linear:
    """One matrix if all parts are stored alike and their scheme can fuse them, otherwise one linear after another."""
    if is_one_matrix(parts, schemes):
        return schemes(parts[0]).create(parts, shard)
    return JoinedLinear([schemes(part).create([part], shard) for part in parts])


def is_one_matrix(parts: Sequence[LinearPart], schemes: SchemeOf) -> bool:
    """True if all parts are stored alike and have one scheme, which can fuse them."""
    first = schemes(parts[0])
    are_alike = all(schemes(part) is first and part.settings == parts[0].settings for part in parts)
    return are_alike and (len(parts) == 1 or first.can_fuse(parts))


class LinearBuilder:
    """Builds linears of one model on one rank."""

    def __init__(
        self,
        spec: ModelSpec,
        shard: WeightShard,
        schemes: SchemeOf,
        adapters: RunningAdapters | None = None,
    ) -> None:
        self._spec = spec
        self._adapters = adapters
        self.hidden_size = spec.hidden_size
        self.shard = shard
        self.schemes = schemes

    def build(self, parts: Sequence[LinearPart]) -> Linear:
        """One linear of the parts, which share an input."""
        return build_linear_of(parts, self.schemes, self.shard)

    def build_adapted(self, parts: Sequence[LinearPart]) -> Linear:
        """The same for a linear that is called with all tokens of a step in order, so that adapters can add to it."""
        linear = self.build(parts)
        if self._adapters is None:
            return linear
        return AdaptedLinear(linear, self._adapters, self._adapters.addition(parts, self.shard))

    def part(
        self, name: str, in_size: int, out_size: int, bias: bool = False, split: str = "column"
    ) -> LinearPart:
        """A part of any kind."""
        return LinearPart(
            name=name,
            in_size=in_size,
            out_size=out_size,
            bias=bias,
            split=split,
            settings=stored_settings(self._spec, name),
        )

    def build_experts(self, experts: Sequence[Sequence[LinearPart]]) -> ExpertLinear | None:
        """One linear for all experts, if they have one scheme and it has such a linear."""
        scheme = self.schemes(experts[0][0])
        are_alike = all(
            self.schemes(parts[0]) is scheme and is_one_matrix(parts, self.schemes)
            for parts in experts
        )
        return scheme.create_experts(experts, self.shard) if are_alike else None

    def row(self, name: str, in_size: int, bias: bool) -> Linear:
        """A row-parallel linear that ends a branch."""
        return self.build([self.out_part(name, in_size, bias)])

    def adapted_row(self, name: str, in_size: int, bias: bool) -> Linear:
        """The same, with what adapters add."""
        return self.build_adapted([self.out_part(name, in_size, bias)])

    def in_parts(
        self, forward: FeedForward, module: str, split: str = "column"
    ) -> list[LinearPart]:
        """Gate and up of a feed-forward, or up alone."""
        return [
            LinearPart(
                name=f"{module}.{name}",
                in_size=self.hidden_size,
                out_size=forward.size,
                bias=forward.bias,
                split=split,
                settings=stored_settings(self._spec, f"{module}.{name}"),
            )
            for name in forward.linears[:-1]
        ]

    def out_part(self, name: str, in_size: int, bias: bool, split: str = "row") -> LinearPart:
        """A part whose outputs form a hidden state."""
        return LinearPart(
            name=name,
            in_size=in_size,
            out_size=self.hidden_size,
            bias=bias,
            split=split,
            settings=stored_settings(self._spec, name),
        )
