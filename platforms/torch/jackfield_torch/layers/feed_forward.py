"""The second half of a layer: one feed-forward, or a router and experts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import Experts, FeedForward
from jackfield_torch.interfaces.kernels import ExpertFacts, FewExperts, Kernels
from jackfield_torch.interfaces.linear import ExpertLinear
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.layers.activation import ClippedGate, ScaledGate, activation_function
from jackfield_torch.layers.attention import StepInputs
from jackfield_torch.layers.compose import Multiply, TensorFunction, chain, identity
from jackfield_torch.layers.experts import (
    ChosenExperts,
    ExpertBranch,
    ScaledInputs,
    SeparateExperts,
    SharedExpert,
)
from jackfield_torch.layers.gated import GatedFeedForward
from jackfield_torch.layers.linear_builder import LinearBuilder
from jackfield_torch.layers.routing import Routing
from jackfield_torch.layers.stacked_experts import StackedExperts
from jackfield_torch.tensor_parallel import RankGroup

FeedForwardBranch = Callable[[Tensor, StepInputs], Tensor]
_ExpertParts = Sequence[Sequence[LinearPart]]


class DenseBranch:
    """A feed-forward that is the same for every token."""

    def __init__(self, function: TensorFunction) -> None:
        self.function = function

    def __call__(self, x_TE: Tensor, step: StepInputs) -> Tensor:
        """This rank's share of the sum."""
        return self.function(x_TE)


class FeedForwardBuilder:
    """Builds the feed-forwards of one model on one rank."""

    def __init__(
        self, linears: LinearBuilder, group: RankGroup, kernels: Kernels, *, whole_experts: bool
    ) -> None:
        self._linears, self._kernels = linears, kernels
        self._shard = linears.shard
        self._rank, self._num_ranks = group.rank, group.num_ranks
        self._whole_experts = whole_experts and group.num_ranks > 1  # ranks share out whole experts

    def build(self, feed_forward: FeedForward | Experts, module: str) -> FeedForwardBranch:
        """Read the weights of the feed-forward at `module` and bind its parts."""
        if isinstance(feed_forward, FeedForward):
            return DenseBranch(self._dense(feed_forward, module))
        return self._experts(feed_forward, module)

    def _dense(self, forward: FeedForward, module: str) -> TensorFunction:
        linear = self._linears.build_adapted(self._linears.in_parts(forward, module))
        down = self._linears.adapted_row(f"{module}.down", forward.size, forward.bias)
        if _is_plainly_gated(forward) and forward.out_scale == 1.0:
            return GatedFeedForward(linear, forward.activation, down, self._kernels)
        return chain(
            linear,
            self._between(forward),
            down,
            identity if forward.out_scale == 1.0 else Multiply(forward.out_scale),
        )

    def _between(self, forward: FeedForward) -> TensorFunction:
        """The operations between the linears."""
        scale = identity if forward.gate_scale == 1.0 else ScaledGate(forward.gate_scale)
        return chain(scale, self._activation(forward))

    def _activation(self, forward: FeedForward) -> TensorFunction:
        activation = activation_function(forward.activation)
        if not forward.gated:
            return activation
        if forward.clip is not None or forward.up_offset:
            return ClippedGate(activation, forward.clip, forward.up_offset)
        return partial(self._kernels.gate, forward.activation)

    def _experts(self, experts: Experts, module: str) -> ExpertBranch:
        held, forward = self._held(experts, module), experts.expert
        split = ("none", "none") if self._whole_experts else ("column", "row")
        names = [f"{module}.experts.{expert}" for expert in held]
        into = [self._linears.in_parts(forward, name, split[0]) for name in names]
        out = [
            [self._linears.out_part(f"{name}.down", forward.size, forward.bias, split[1])]
            for name in names
        ]
        # The weights of a token multiply the outputs of its experts.
        router = replace(experts.router, scale=experts.router.scale * forward.out_scale)
        chosen = self._chosen(experts, held, into, out)
        return ExpertBranch(
            Routing(router, module, self._linears.hidden_size, self._shard, self._kernels),
            ScaledInputs(chosen) if router.scales_inputs else chosen,
            self._shared(experts, module),
        )

    def _chosen(
        self, experts: Experts, held: range, into: _ExpertParts, out: _ExpertParts
    ) -> ChosenExperts:
        """Stacked experts if scheme and device have a product for them, otherwise separate ones."""
        between, count = self._between(experts.expert), experts.router.num_experts
        stacks = self._stacks(experts.expert)
        stacked_into = self._linears.build_experts(into) if stacks else None
        if stacked_into is not None and (stacked_out := self._linears.build_experts(out)):
            few = self._few(experts.expert, held, stacked_into, stacked_out)
            return StackedExperts(held, count, stacked_into, between, stacked_out, few)
        build = self._linears.build
        return SeparateExperts(held, count, [*map(build, into)], between, [*map(build, out)])

    def _stacks(self, forward: FeedForward) -> bool:
        """On processors packed matrices are faster than a stack of them that has no kernel."""
        if self._shard.device.type != "cpu":
            return True
        activation = forward.activation if _is_plainly_gated(forward) else ""
        return self._kernels.stacks_experts(self._shard.dtype, activation)

    def _few(
        self, forward: FeedForward, held: range, into: ExpertLinear, out: ExpertLinear
    ) -> FewExperts | None:
        """The device's kernel for few tokens, if it computes what such experts do."""
        first, second = into.plain(), out.plain()
        if first is None or second is None or not _is_plainly_gated(forward):
            return None
        return self._kernels.few_experts(
            ExpertFacts(
                into_XOI=first.weight_XOI,
                into_bias_XO=first.bias_XO,
                out_XOI=second.weight_XOI,
                out_bias_XO=second.bias_XO,
                activation=forward.activation,
                first=held.start,
            )
        )

    def _held(self, experts: Experts, module: str) -> range:
        """The experts of this rank."""
        count = experts.router.num_experts
        if not self._whole_experts:
            return range(count)
        if count % self._num_ranks:
            raise UnsupportedModelError(
                f"{self._num_ranks} ranks cannot share the {count} experts of {module}; set executor.tensor_parallel to "
                "a number that divides it, or executor.expert_parallel to false"
            )
        size = count // self._num_ranks
        held = range(self._rank * size, (self._rank + 1) * size)
        self._shard.leave(
            f"{module}.experts.{expert}.{name}"
            for expert in range(count)
            if expert not in held
            for name in experts.expert.linears
        )
        return held

    def _shared(self, experts: Experts, module: str) -> TensorFunction | None:
        if experts.shared is None:
            return None
        function = self._dense(experts.shared, f"{module}.shared")
        if not experts.shared_gate:
            return function
        size = self._linears.hidden_size
        gate_1E = self._shard.whole(f"{module}.shared_gate", "weight", (1, size))
        return SharedExpert(function, gate_1E)


def _is_plainly_gated(forward: FeedForward) -> bool:
    """True if the outputs of the first linear are joined as activation(gate) * up."""
    is_plain = forward.clip is None and not forward.up_offset and forward.gate_scale == 1.0
    return forward.gated and is_plain
