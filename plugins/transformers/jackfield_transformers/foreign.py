"""Loads a model of Transformers with our weights, linears and attention, and runs it step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield_torch.interfaces.foreign import (
    ForeignContext,
    ForeignDecoder,
    ForeignModel,
    ForeignStep,
)
from jackfield_transformers.attention import CURRENT, NAME, Pass
from jackfield_transformers.base import backbone, only_logits
from jackfield_transformers.checkpoint import ConvertedCheckpoint
from jackfield_transformers.inspection import make_config
from jackfield_transformers.linears import put_linears
from jackfield_transformers.parameters import load_parameters
from jackfield_transformers.passes import LonelyPass, StepPass

_ALIKE = 1e-2  # share of the largest hidden state that rounding may change


class TransformersModel(ForeignModel):
    """The class that `ModelSpec.foreign` names."""

    def checkpoint(self, stored: Checkpoint, spec: ModelSpec) -> Checkpoint:
        """The checkpoint with the names of Transformers' modules."""
        if stored.is_synthetic:
            return stored
        with torch.device("meta"):
            model = _make(spec, torch.float32)
        linears = {source.prefix for source in spec.modules.values()}
        return ConvertedCheckpoint(stored, model, linears)

    def create(self, context: ForeignContext) -> TransformersDecoder:
        """Make the decoder. Parameters are read one by one; buffers are made by the code."""
        with _parameters_on("meta"):
            model = _make(context.spec, context.dtype)
        num_linears = put_linears(model, context)
        load_parameters(model, context)
        model.to(context.device)
        decoder = TransformersDecoder(model, f"{num_linears} of {type(model).__name__}")
        decoder.check(context)
        return decoder


class TransformersDecoder(ForeignDecoder):
    """The backbone over all tokens, and the head over the tokens that need scores."""

    def __init__(self, model: Any, linears: str) -> None:
        self._backbone = backbone(model)
        self._logits = only_logits(model)
        self.details: Mapping[str, str] = {"linears of a scheme": linears}
        self.sinks: Mapping[int, Tensor] = {}

    def forward(self, token_ids_T: Tensor, positions_T: Tensor, attention: ForeignStep) -> Tensor:
        """See ForeignDecoder."""
        return self._run(token_ids_T, positions_T, StepPass(attention))

    def logits(self, hidden_SE: Tensor) -> Tensor:
        """See ForeignDecoder."""
        return self._logits(hidden_SE[None])[0]

    def check(self, context: ForeignContext) -> None:
        """Check that tokens see each other only through attention. Raises UnsupportedModelError."""
        spec = context.spec
        ids_T = torch.arange(4, device=context.device) % spec.vocab_size
        other_T = ids_T.clone()
        other_T[1] = (other_T[1] + 2) % spec.vocab_size
        positions_T = torch.arange(4, device=context.device)
        alone = LonelyPass()
        first, second = (self._run(ids, positions_T, alone).float() for ids in (ids_T, other_T))
        self.sinks = {n: s for n, s in alone.sinks.items() if n < len(spec.layers)}
        if alone.num_calls != 2 * len(spec.layers):
            raise UnsupportedModelError(
                f"{spec.architecture} attended {alone.num_calls // 2} times in a pass, its spec says "
                f"{len(spec.layers)}; it depends on its input in a way that a paged cache cannot follow"
            )
        self._check_heads(alone.heads, context)
        off = (first - second).abs().amax(-1)
        if off[[0, 2, 3]].amax() > _ALIKE * first.abs().max():
            raise UnsupportedModelError(
                f"in {spec.architecture} tokens see each other outside of attention, which a paged cache cannot "
                "serve. It needs a spec with a mixer for that"
            )

    def _check_heads(self, found: list[tuple[int, int]], context: ForeignContext) -> None:
        """Check that this rank has its share of all heads. Raises UnsupportedModelError."""
        spec, num_ranks = context.spec, context.ranks.num_ranks
        mixers = [layer.mixer.attention for layer in spec.layers]
        for heads, mixer in zip(found, mixers, strict=False):
            assert mixer is not None, "each layer of a foreign model attends"
            share = mixer.num_heads // num_ranks, mixer.num_kv_heads // num_ranks
            if heads != share:
                raise UnsupportedModelError(
                    f"{num_ranks} ranks cannot share {spec.architecture}: as its plan has it, each attends with "
                    f"{heads[0]} heads and {heads[1]} key-value heads, and not with its share of {share[0]} and "
                    f"{share[1]}. Set executor.tensor_parallel to 1"
                )

    def _run(self, token_ids_T: Tensor, positions_T: Tensor, attention: Pass) -> Tensor:
        token = CURRENT.set(attention)
        try:
            hidden: Tensor = self._backbone(
                input_ids=token_ids_T[None].long(), position_ids=positions_T[None], use_cache=False
            ).last_hidden_state
        finally:
            CURRENT.reset(token)
        return hidden[0]


def _make(spec: ModelSpec, dtype: torch.dtype) -> Any:
    assert spec.foreign is not None, "asked only of foreign code"
    model_class, config = make_config(spec.architecture, json.loads(spec.foreign.facts))
    made: Any = model_class
    return made._from_config(config, attn_implementation=NAME, dtype=dtype).eval()


@contextmanager
def _parameters_on(device: str) -> Iterator[None]:
    """Modules are made without memory for parameters. Buffers, such as frequencies of ropes, are in no checkpoint and
    stay.
    """
    modules: Any = nn.Module
    register = modules.register_parameter

    def on_device(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None:
            parameter = nn.Parameter(parameter.detach().to(device), requires_grad=False)
        register(module, name, parameter)

    modules.register_parameter = on_device
    try:
        with no_init_weights():
            yield
    finally:
        modules.register_parameter = register
