"""Replaces nn.Linear by our linears: the quantization scheme multiplies, and ranks share by the model's own plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from jackfield.errors import UnsupportedModelError
from jackfield_torch.interfaces.foreign import ForeignContext
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.quantization import LinearPart

# Entries for a linear in the plan of a model, and how our linear is split.
_SPLITS = {
    "colwise": "column",
    "colwise_gather_output": "column",
    "rowwise": "row",
    "replicated_with_grad_allreduce": "none",
}
_GATHERED = "colwise_gather_output"
# Entries for other modules, which every rank holds whole here.
_WHOLE = ("embedding_rowwise", "replicated_with_grad_allreduce")


class SchemeLinear(nn.Module):
    """One of our linears, as the module that Transformers' code expects."""

    def __init__(
        self, linear: Linear, whole: nn.Linear, then: Callable[[Tensor], Tensor] | None
    ) -> None:
        super().__init__()
        self._linear, self._then = linear, then
        self.in_features, self.out_features = whole.in_features, whole.out_features

    def forward(self, x: Tensor) -> Tensor:
        """Multiply over the last axis."""
        y = self._linear(x.reshape(-1, x.shape[-1]))
        if self._then is not None:
            y = self._then(y)
        return y.view(*x.shape[:-1], y.shape[-1])


def put_linears(model: Any, context: ForeignContext) -> int:
    """Replace the linears of the spec and read their weights. Returns their number. Raises ModelError."""
    plan = _plan(model, context) if context.ranks.num_ranks > 1 else {}
    tied = tied_parameters(model)
    linears = {path.prefix: name for name, path in context.spec.modules.items()}
    for path, name in linears.items():
        if f"{path}.weight" not in tied:
            _put(model, path, name, plan, context, None)
    return len(linears)


def put_tied_head(model: Any, context: ForeignContext, path: str, table: Tensor) -> None:
    """Replace a linear that multiplies with the rows of `table`, which another parameter holds."""
    name = next(name for name, source in context.spec.modules.items() if source.prefix == path)
    _put(model, path, name, {}, context, table)


def tied_parameters(model: Any) -> Mapping[str, str]:
    """Parameters that share the tensor of another parameter: name -> name of the other."""
    found: Mapping[str, str] = getattr(model, "all_tied_weights_keys", None) or {}
    return found


def _put(
    model: Any,
    path: str,
    name: str,
    plan: Mapping[str, str],
    context: ForeignContext,
    table: Tensor | None,
) -> None:
    whole = model.get_submodule(path)
    word = next((word for pattern, word in plan.items() if re.fullmatch(pattern, path)), None)
    split = _SPLITS[word] if word else "none"
    part = LinearPart(
        name=name,
        in_size=whole.in_features,
        out_size=whole.out_features,
        bias=whole.bias is not None,
        split=split,
        settings=_settings(name, context),
    )
    ranks = context.ranks
    then = ranks.all_reduce if split == "row" else ranks.all_gather if word == _GATHERED else None
    parent, _, leaf = path.rpartition(".")
    owner = model.get_submodule(parent) if parent else model
    setattr(owner, leaf, SchemeLinear(context.linear(part, table), whole, then))


def _settings(name: str, context: ForeignContext) -> Mapping[str, Any]:
    quantization = context.spec.quantization
    return quantization.linears.get(name, {}) if quantization else {}


def _plan(model: Any, context: ForeignContext) -> dict[str, str]:
    """Entries of the model's own plan, by pattern of a module's place. Raises UnsupportedModelError."""
    plan: Mapping[str, str] = getattr(model, "tp_plan", None) or {}
    num_ranks = context.ranks.num_ranks
    for layer in context.spec.layers:
        attention = layer.mixer.attention
        if attention is not None and attention.num_kv_heads % num_ranks:
            raise UnsupportedModelError(
                f"{num_ranks} ranks cannot share the {attention.num_kv_heads} key-value heads of {type(model).__name__} "
                "without copies, which Transformers' code does not know. Set executor.tensor_parallel to a divisor"
            )
    found = {re.escape(pattern).replace(r"\*", r"\d+"): word for pattern, word in plan.items()}
    linears = [source.prefix for source in context.spec.modules.values()]
    unknown = set()
    for pattern, word in found.items():
        is_linear = any(re.fullmatch(pattern, path) for path in linears)
        if word not in (_SPLITS if is_linear else _WHOLE):
            unknown.add(f"{word} of {pattern.rpartition('.')[2]}")
    if unknown or not plan:
        told = f"its plan says {', '.join(sorted(unknown))}" if unknown else "it has no plan"
        raise UnsupportedModelError(
            f"ranks cannot share {type(model).__name__}: {told}; served are linears that are {', '.join(_SPLITS)}. "
            "Set executor.tensor_parallel to 1"
        )
    return found
