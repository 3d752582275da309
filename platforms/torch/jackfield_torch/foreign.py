"""The runtime's side of models that are computed by code of another library (`ModelSpec.foreign`)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield_torch.attention_step import AttentionStep
from jackfield_torch.interfaces.foreign import ForeignContext, ForeignDecoder, ForeignModel
from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.layers.norm import NormBuilder
from jackfield_torch.layers.vectors import VectorHead, build_vector_head
from jackfield_torch.load_context import LoadContext
from jackfield_torch.paged_cache import CacheScales


class RunningForeign:
    """Runs steps through foreign code, in place of a Decoder."""

    def __init__(self, decoder: ForeignDecoder, vectors: VectorHead) -> None:
        self._decoder = decoder
        self.vectors = vectors  # the layers after pooling
        self.sinks = decoder.sinks
        self.distance_biases: Mapping[int, Tensor] = {}
        self.cache_scales: Mapping[int, CacheScales] = {}  # such checkpoints have none
        self.can_capture = decoder.can_capture
        self.details = decoder.details

    def forward(
        self,
        token_ids_T: Tensor,
        positions_T: Tensor,
        attention: AttentionStep,
        second_T: Tensor | None = None,
    ) -> Tensor:
        """See Decoder. Only encoders use `second_T`."""
        return self._decoder.forward(token_ids_T, positions_T, attention)

    def logits(self, hidden_SE: Tensor) -> Tensor:
        """See Decoder."""
        return self._decoder.logits(hidden_SE)


def shown_checkpoint(stored: Checkpoint, spec: ModelSpec) -> Checkpoint:
    """The checkpoint with the names of the code that computes the model."""
    return stored if spec.foreign is None else _model_of(spec).checkpoint(stored, spec)


def assemble_foreign(context: LoadContext) -> RunningForeign:
    """The part of a foreign model on this rank. Raises ModelError."""
    spec, weights, shard = context.spec, context.weights, context.shard()

    def linear(part: LinearPart, table: Tensor | None) -> Linear:
        if table is not None:
            shard.share(part.name, table)
        return context.schemes(part).create([part], shard)

    decoder = _model_of(spec).create(
        ForeignContext(
            spec=spec,
            device=context.device,
            dtype=context.dtype,
            max_length=context.max_length,
            ranks=context.ranks,
            parameters=weights,
            linear=linear,
        )
    )
    norms = NormBuilder(weights, context.device, Kernels())
    vectors = build_vector_head(spec, norms, shard, context.dense, decoder.logits)
    if context.ranks.rank == 0:
        weights.finish()
    return RunningForeign(decoder, vectors)


def _model_of(spec: ModelSpec) -> ForeignModel:
    assert spec.foreign is not None, "asked only of foreign code"
    module, _, name = spec.foreign.target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnsupportedModelError(
            f"{spec.foreign.target}, which computes {spec.architecture}, cannot be imported here: {error}. "
            "Install the same plugins where workers run"
        ) from error
    model: ForeignModel = found()
    return model
