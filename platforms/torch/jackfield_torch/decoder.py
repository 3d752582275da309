"""The decoder of the torch runtime: it turns a model spec into bound callables, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from jackfield.discovery.selected import open_checkpoint
from jackfield.interfaces.worker import WorkerContext
from jackfield.model_spec import ModelSpec
from jackfield_torch.attention_step import AttentionStep
from jackfield_torch.foreign import RunningForeign, assemble_foreign, shown_checkpoint
from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.interfaces.running_adapters import RunningAdapters
from jackfield_torch.layers.attention import StepInputs
from jackfield_torch.layers.branch import add_branch
from jackfield_torch.layers.compose import Multiply, TensorFunction, chain, identity
from jackfield_torch.layers.decoder_layer import DecoderLayer, LayerBuilder
from jackfield_torch.layers.embedding import Embedding, PositionedEmbedding
from jackfield_torch.layers.linear import PackedLinear, linear_kind
from jackfield_torch.layers.linear_builder import SchemeOf, build_linear_of
from jackfield_torch.layers.logits import Logits, SoftCap
from jackfield_torch.layers.narrow import narrow_product
from jackfield_torch.layers.norm import NormBuilder
from jackfield_torch.layers.post_norm import PostNormLayer
from jackfield_torch.layers.relative_bias import bias_of_distances
from jackfield_torch.layers.vectors import VectorHead, build_vector_head, read_dense
from jackfield_torch.linear_groups import stored_settings
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import (
    CheckpointWeights,
    ModelWeights,
    RandomWeights,
    WeightShard,
)
from jackfield_torch.paged_cache import CacheScales
from jackfield_torch.rope import RopeTable
from jackfield_torch.settings import max_length
from jackfield_torch.side_by_side import build_side_by_side
from jackfield_torch.tensor_parallel import RankGroup


class Decoder:
    """The part of a model on one rank."""

    def __init__(
        self,
        *,
        embedding: Embedding | PositionedEmbedding,
        ropes: tuple[RopeTable, ...],
        layers: tuple[DecoderLayer | PostNormLayer, ...],
        logits: Logits | None,
        vectors: VectorHead,
        sinks: Mapping[int, Tensor],
        details: Mapping[str, str],
        can_capture: bool = True,
        cache_scales: Mapping[int, CacheScales] = MappingProxyType({}),
        distance_biases: Mapping[int, Tensor] = MappingProxyType({}),
    ) -> None:
        self._embedding = embedding
        self._ropes = ropes
        self._layers = layers
        self._logits = logits  # None: the model has no head
        self.vectors = vectors  # the layers after pooling
        # For the attention, by layer: float32, one for each head of this rank.
        self.sinks = sinks
        self.distance_biases = distance_biases  # LayerAttention.distance_bias_ND, by layer
        self.cache_scales = cache_scales  # by layer, for layers that were calibrated for float8
        self.can_capture = can_capture  # False: the model has no head
        self.details = details  # how it was built, for `explain` and logs

    def forward(
        self,
        token_ids_T: Tensor,
        positions_T: Tensor,
        attention: AttentionStep,
        second_T: Tensor
        | None = None,  # 1 for tokens of a second text, otherwise 0; None: there is no second text
    ) -> Tensor:
        """Hidden states of all tokens of a step before the final norm; writes the cache through `attention`."""
        x_TE = self._embedding(token_ids_T, positions_T, second_T)
        rotations = tuple(rope.rows(positions_T) for rope in self._ropes)
        step = StepInputs(attention, rotations, positions_T)
        branch_TE: Tensor | None = None
        for layer in self._layers:
            branch_TE = layer(x_TE, branch_TE, step)
        return x_TE if branch_TE is None else add_branch(x_TE, branch_TE)

    def logits(self, hidden_SE: Tensor) -> Tensor:
        """Scores of the whole vocabulary, on every rank, in float32 or in the dtype of the activations."""
        assert self._logits is not None, "a model without a head is not asked for tokens"
        return self._logits(hidden_SE)


def build_decoder(
    context: WorkerContext,
    device: torch.device,
    dtype: torch.dtype,
    schemes: SchemeOf,
    group: RankGroup,
    kernels: Kernels,
    adapters: RunningAdapters | None = None,
) -> Decoder | RunningForeign:
    """Load the model of `context` onto `device`. Raises ModelError."""
    with open_checkpoint(context) as checkpoint:
        weights: ModelWeights = (
            RandomWeights(context.config.model.seed, device)
            if checkpoint.is_synthetic
            else CheckpointWeights(shown_checkpoint(checkpoint, context.spec), context.spec)
        )
        return assemble_decoder(
            LoadContext(
                spec=context.spec,
                weights=weights,
                device=device,
                dtype=dtype,
                schemes=schemes,
                ranks=group,
                max_length=max_length(context.config, context.spec),
                kernels=kernels,
                whole_experts=context.config.executor.expert_parallel,
                dense=read_dense(context, device),
                adapters=adapters,
                config=context.config,
            )
        )


class DecoderBuilder:
    """Makes the parts of a decoder one at a time, so that a caller that needs one layer after another never holds two."""

    def __init__(self, context: LoadContext) -> None:
        spec = self._spec = context.spec
        self._context = context
        self._shard = context.shard()
        self._norms = NormBuilder(context.weights, context.device, context.kernels)
        self._distance_biases: dict[str, Tensor] = {}  # by the name of the table
        self._ropes = tuple(
            dict.fromkeys(layer.mixer.rope for layer in spec.layers if layer.mixer.rope)
        )
        indices = {rope: index for index, rope in enumerate(self._ropes)}
        self._layers = LayerBuilder(context, self._norms, self._shard, indices)

    def embedding(self) -> Embedding | PositionedEmbedding:
        """From token ids to hidden states. Call it before `logits`, since a head may share its table."""
        return _build_embedding(self._spec, self._norms, self._shard)

    def ropes(self) -> tuple[RopeTable, ...]:
        """The rope tables, in the order of `StepInputs.rotations`."""
        context, unscaled = self._context, self._spec.unscaled_length
        return tuple(
            RopeTable(rope, context.max_length, context.device, context.dtype, unscaled)
            for rope in self._ropes
        )

    def layer(self, index: int) -> DecoderLayer | PostNormLayer:
        """Read the weights of the layer with this index, and make it."""
        return self._layers.build(index, self._spec.layers[index])

    def sinks(self, index: int) -> Tensor | None:
        """The sinks of a layer, one for each head on this rank, if the layer has them; float32."""
        attention = self._spec.layers[index].mixer.attention
        if attention is None or not attention.sinks:
            return None
        return self._shard.sinks(f"layers.{index}.mixer.sinks", attention.num_heads)

    def distance_bias(self, index: int) -> Tensor | None:
        """What a layer adds to scores by distance, if it does; layers with one table share one tensor."""
        attention = self._spec.layers[index].mixer.attention
        if attention is None or attention.relative_bias is None:
            return None
        module = f"layers.{index}.mixer.relative_bias"
        stored = self._spec.source(module).prefix
        if stored not in self._distance_biases:
            shape = (attention.relative_bias.num_buckets, attention.num_heads)
            table_BN = self._shard.whole(module, "weight", shape)
            length = self._context.max_length
            bias_ND = bias_of_distances(attention.relative_bias, table_BN, length)
            self._distance_biases[stored] = self._shard.cut(bias_ND, 0).contiguous()
        return self._distance_biases[stored]

    def cache_scales(self, index: int) -> CacheScales | None:
        """The cache scales of a layer, if the checkpoint has them."""
        names = [f"layers.{index}.mixer.{letter}_scale" for letter in "kv"]
        if not all(name in self._spec.modules for name in names):
            return None
        return CacheScales(*(self._shard.number(name) for name in names))

    def logits(self) -> Logits | None:
        """From hidden states to scores. None if the model has no head."""
        if not self._spec.has_head:
            return None
        return _build_logits(self._context, self._norms, self._shard)

    def vectors(self, logits: Logits | None) -> VectorHead:
        """From pooled hidden states to vectors."""
        dense = self._context.dense
        return build_vector_head(self._spec, self._norms, self._shard, dense, logits)


def assemble_decoder(context: LoadContext) -> Decoder | RunningForeign:
    """Load a model from any source of weights. Raises ModelError."""
    spec = context.spec
    if spec.foreign is not None:
        return assemble_foreign(context)
    builder = DecoderBuilder(context)
    embedding = builder.embedding()
    layers = build_side_by_side(builder.layer, range(len(spec.layers)), context.device)
    logits = builder.logits()
    vectors = builder.vectors(logits)
    sinks = {index: builder.sinks(index) for index in range(len(spec.layers))}
    scales = {index: builder.cache_scales(index) for index in range(len(spec.layers))}
    biases = {index: builder.distance_bias(index) for index in range(len(spec.layers))}
    if context.ranks.rank == 0:
        context.weights.finish()
    return Decoder(
        embedding=embedding,
        ropes=builder.ropes(),
        layers=layers,
        logits=logits,
        vectors=vectors,
        sinks={index: found for index, found in sinks.items() if found is not None},
        cache_scales={index: found for index, found in scales.items() if found is not None},
        distance_biases={index: found for index, found in biases.items() if found is not None},
        details=_describe(spec, context.device, context.dtype),
        can_capture=spec.has_head,
    )


def _describe(spec: ModelSpec, device: torch.device, dtype: torch.dtype) -> dict[str, str]:
    kind = linear_kind(device, dtype)
    details = {"plain linears": f"{kind}, {str(dtype).removeprefix('torch.')}"}
    if spec.tied_head and kind == PackedLinear.kind:
        # Look-ups need rows, and the packed product has an order of its own: only here weights are held twice.
        size = spec.vocab_size * spec.hidden_size * dtype.itemsize
        details["tied head"] = f"a packed copy of the embedding table, {size / 2**20:.0f} MiB"
    return details


def _build_embedding(
    spec: ModelSpec, norms: NormBuilder, shard: WeightShard
) -> Embedding | PositionedEmbedding:
    shared_as = "head" if spec.tied_head else None
    table_VE = shard.table("embedding", spec.vocab_size, spec.hidden_size, shared_as=shared_as)
    norm = norms.function(spec.embedding_norm, "embedding_norm", spec.hidden_size)
    # As in Transformers, the factor is rounded to the dtype of the activations.
    factor = torch.tensor(spec.embedding_scale).to(shard.dtype).item()
    scale: TensorFunction = identity if factor == 1.0 else Multiply(factor)
    if spec.learned_positions is None:
        return Embedding(table_VE, chain(scale, norm))
    size = spec.hidden_size
    positions_LE = shard.table("positions", spec.learned_positions, size)
    segments_SE = shard.table("segments", spec.segments, size) if spec.segments else None
    return PositionedEmbedding(
        table_VE, scale, positions_LE, spec.position_offset, norm, segments_SE
    )


def _build_logits(context: LoadContext, norms: NormBuilder, shard: WeightShard) -> Logits:
    """Ranks share out the head over the vocabulary if it divides evenly. Otherwise every rank holds the whole head."""
    spec, group = context.spec, context.ranks
    is_split = group.num_ranks > 1 and spec.vocab_size % group.num_ranks == 0
    part = LinearPart(
        name="head",
        in_size=spec.hidden_size,
        out_size=spec.vocab_size,
        bias=spec.head_bias,
        split="column" if is_split else "none",
        settings=stored_settings(spec, "head"),
    )
    norm = norms.norm(spec.final_norm, "final_norm", spec.hidden_size)
    head = build_linear_of([part], context.schemes, shard)
    return Logits(
        norm,
        head,
        group.all_gather if is_split else identity,
        chain(
            Multiply(spec.logit_scale) if spec.logit_scale != 1.0 else identity,
            SoftCap(spec.logit_soft_cap) if spec.logit_soft_cap else identity,
        ),
        narrow_product(context.kernels, head, norm=norm),
    )
