"""A model as data: the parts of each layer, and where their weights stand in the checkpoint.

Every runtime interprets the same spec. The table `modules` maps the logical modules of a decoder to names in a
checkpoint. The logical modules are (`{i}` is the layer):

    embedding                             [vocab, hidden]
    positions                             [max_length, hidden], if `learned_positions`
    layers.{i}.mixer_norm                 before the mixer         layers.{i}.mixer_post_norm      after it
    layers.{i}.mixer.q, .k, .v            column-parallel linears  layers.{i}.mixer.o              row-parallel
    layers.{i}.mixer.q_norm, .k_norm      over a head              layers.{i}.mixer.sinks          [heads]
    layers.{i}.mixer.k_scale, .v_scale    [1], of cached float8; the core fills them in if a checkpoint has them
    layers.{i}.mixer.gate                 column-parallel, if `out_gate`
    layers.{i}.mixer.relative_bias        [buckets, heads], if `relative_bias`
    layers.{i}.mixer.q, or .q_a, .q_norm, .q_b                     of latent attention, as .kv_a, .latent_norm, .kv_b, .o
    layers.{i}.mixer.z, .x, .b, .c, .dt   column-parallel, of Mamba-2, as .conv, .a_log, .d, .dt_bias, .norm, .o
    layers.{i}.mixer.q, .k, .v, .z, .beta, .decay                  of delta networks, as .conv, .a_log, .dt_bias, .norm, .o
    layers.{i}.mixer.attention..., .mixer.recurrent...             of mixers side by side
    layers.{i}.feed_forward_norm          before the feed-forward  layers.{i}.feed_forward_post_norm
    layers.{i}.feed_forward.gate, .up     column-parallel          layers.{i}.feed_forward.down    row-parallel
    layers.{i}.feed_forward.router        [experts, hidden], of experts, as are all modules below
    layers.{i}.feed_forward.choice_bias   [experts], if `router.choice_bias`
    layers.{i}.feed_forward.experts.{e}.gate, .up, .down           of expert e
    layers.{i}.feed_forward.shared.gate, .up, .down                of the shared experts, which see every token
    layers.{i}.feed_forward.shared_gate   [1, hidden], if `shared_gate`
    final_norm
    head                                  column-parallel [vocab, hidden]; absent if `tied_head` or not `has_head`
    segments                              [texts, hidden], if `segments`
    classifier.dense, .norm, .out         of `classifier`

No name means a fused tensor. `sinks`, `choice_bias`, `a_log`, `d`, `dt_bias`, `k_scale` and `v_scale` are tensors
themselves: their source is a whole name, not a prefix. The quantization scheme of a linear decides which parameters a
module has (`weight`, `bias`, or `qweight`, `scales`, ...).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from jackfield.cache import KINDS, CacheGroup, CacheUse
from jackfield.dtypes import DType
from jackfield.foreign import ForeignCode as ForeignCode
from jackfield.mixers import ALIBI_SIZE as ALIBI_SIZE
from jackfield.mixers import Attention as Attention
from jackfield.mixers import GatedDeltaNet as GatedDeltaNet
from jackfield.mixers import LatentAttention as LatentAttention
from jackfield.mixers import Mamba2 as Mamba2
from jackfield.mixers import Mixer as Mixer
from jackfield.mixers import ParallelMixers as ParallelMixers
from jackfield.mixers import Shapes as Shapes
from jackfield.pooling import Classifier, Pooling
from jackfield.spec_parts import Norm as Norm
from jackfield.spec_parts import RelativeBias as RelativeBias
from jackfield.spec_parts import Rope as Rope
from jackfield.spec_parts import RopeScaling as RopeScaling
from jackfield.spec_parts import Temperature as Temperature
from jackfield.stored_linear import StoredLinear as StoredLinear

_EXPERT = re.compile(r"(?<=^feed_forward\.experts\.)\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """down(activation(gate(x)) * up(x)), or down(activation(up(x))) if not gated."""

    FEATURE: ClassVar[str] = "feed_forward"

    size: int  # elements
    # "silu", "gelu" (erf), "gelu_tanh", "gelu_sigmoid" (x * sigmoid(1.702 x)), "relu", "relu_squared"
    activation: str = "silu"
    gated: bool = True  # False: there is no gate
    bias: bool = False  # all its linears have a bias
    # c: the gate is clipped to at most c, up to [-c, c] (gpt-oss).
    clip: float | None = None
    up_offset: float = 0.0  # added to up before the product (gpt-oss: 1)
    gate_scale: float = 1.0  # multiplies gate before the activation (Falcon-H1)
    out_scale: float = 1.0  # multiplies the output of down (Falcon-H1)

    @property
    def linears(self) -> tuple[str, ...]:
        """Names below the feed-forward's module, in the order in which they run."""
        return ("gate", "up", "down") if self.gated else ("up", "down")

    def shapes(self, hidden_size: int) -> Shapes:
        """The linears below the feed-forward's module."""
        into = dict.fromkeys(self.linears[:-1], (self.size, hidden_size))
        return {**into, "down": (hidden_size, self.size)}

    def width(self, hidden_size: int) -> int:
        """Elements that a token needs at once between input and output."""
        return (3 if self.gated else 2) * self.size

    def num_parameters(self, hidden_size: int) -> int:
        """Elements of its matrices."""
        return len(self.linears) * hidden_size * self.size

    def num_active_parameters(self, hidden_size: int) -> int:
        """Elements of the matrices that one token is multiplied with: all."""
        return self.num_parameters(hidden_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """Chooses the experts of a token and their weights: the best `top_k` by score, computed in float32.

    With groups, the experts are cut into `num_groups` equal parts, and only experts of the `top_groups` best parts
    can be chosen (DeepSeek-AI 2024). "sparse_mixer" chooses one expert after another. The weight of each is a softmax
    over the experts that were not chosen before and whose logits l have (m - l) / max(|l|, m) <= 2 `jitter`; m is the
    largest logit (Liu et al. 2024).
    """

    FEATURE: ClassVar[str] = "router"

    num_experts: int  # number of experts that tokens are shared out to
    top_k: int  # number of experts for each token
    scoring: str = "softmax"  # "softmax" over all experts, "sigmoid" of each, or "sparse_mixer"
    renormalise: bool = False  # True: the weights of the chosen experts sum to one
    # True: a learned bias is added to the scores for the choice, but not to the weights.
    choice_bias: bool = False
    bias: bool = False  # the router's linear has a bias
    scale: float = 1.0  # multiplies the weights
    # True: the weights multiply the input of an expert, not its output (Llama 4).
    scales_inputs: bool = False
    num_groups: int = 1  # number of equal parts of the experts
    top_groups: int = 1  # number of parts that can be chosen from
    # The score of a part. "max": that of its best expert. "top2": the sum of its two best.
    group_score: str = "max"
    jitter: float = 0.0  # for "sparse_mixer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A mixture of experts (Shazeer et al. 2017): each token goes through a few of many feed-forwards."""

    FEATURE: ClassVar[str] = "experts"
    IS_FEATURE: ClassVar[bool] = True

    router: Router  # chooses the experts of each token
    expert: FeedForward  # the shape of each expert
    shared: FeedForward | None = None  # sees every token
    # True: the sigmoid of a learned projection multiplies the output of the shared expert (Qwen2-MoE).
    shared_gate: bool = False

    def shapes(self, hidden_size: int) -> Shapes:
        """The linears below the feed-forward's module. Quantization schemes do not see the router."""
        shared = self.shared.shapes(hidden_size).items() if self.shared else ()
        one = self.expert.shapes(hidden_size).items()
        numbers = range(self.router.num_experts)
        return {
            **{f"shared.{name}": shape for name, shape in shared},
            **{f"experts.{e}.{name}": shape for e in numbers for name, shape in one},
        }

    def width(self, hidden_size: int) -> int:
        """Elements that a token needs at once between input and output, each of its experts counted."""
        shared = self.shared.width(hidden_size) if self.shared else 0
        return shared + self.router.top_k * (self.expert.width(hidden_size) + 2 * hidden_size)

    def num_parameters(self, hidden_size: int) -> int:
        """Elements of its matrices."""
        return self._num_parameters(hidden_size, self.router.num_experts)

    def num_active_parameters(self, hidden_size: int) -> int:
        """Elements of the matrices that one token is multiplied with."""
        return self._num_parameters(hidden_size, self.router.top_k)

    def _num_parameters(self, hidden_size: int, num_experts: int) -> int:
        shared = self.shared.num_parameters(hidden_size) if self.shared else 0
        experts = num_experts * self.expert.num_parameters(hidden_size)
        return self.router.num_experts * hidden_size + shared + experts


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """x += post(mixer(pre(x))), then x += post(feed_forward(pre(x))). `parallel` does both at once.

    With `norm_after_sum`: x = norm(x + mixer(x)), then x = norm(x + feed_forward(x)).
    """

    FEATURE: ClassVar[str] = "layer"

    mixer: Mixer  # lets tokens see other tokens
    # None: the layer has a mixer only (Mamba).
    feed_forward: FeedForward | Experts | None
    mixer_norm: Norm | None  # before the mixer
    feed_forward_norm: Norm | None  # before the feed-forward
    mixer_post_norm: Norm | None = None  # after the mixer
    feed_forward_post_norm: Norm | None = None  # after the feed-forward
    residual_scale: float = 1.0  # multiplies each branch before it is added
    cache_of_layer: int | None = None  # index of an earlier layer whose cache this layer uses
    # True: both branches read the layer's input. Without feed_forward_norm they share the output of mixer_norm (GPT-J).
    parallel: bool = False
    norm_after_sum: bool = False  # True: mixer_norm and feed_forward_norm follow the sums (BERT)


@dataclass(frozen=True, slots=True)
class Transpose:
    """Swap the two axes of a matrix (GPT-2 stores [in, out]). Tensors of other ranks stay as they are."""


@dataclass(frozen=True, slots=True)
class Split:
    """Take rows [start, stop) of axis 0. After a Transpose these are rows of the outputs."""

    start: int  # first row
    stop: int  # row after the last


@dataclass(frozen=True, slots=True)
class Offset:
    """Add a number to every element."""

    value: float


@dataclass(frozen=True, slots=True)
class Permute:
    """Reorder axis 0 from interleaved rotary pairs to halves, for each of `num_heads` heads."""

    num_heads: int  # heads that axis 0 holds


@dataclass(frozen=True, slots=True)
class SplitGroups:
    """Take rows [start, stop) of each of `num_groups` equal parts of axis 0 (GPT-NeoX keeps q, k and v by head)."""

    num_groups: int  # parts
    start: int  # first row of a part
    stop: int  # row after the last


@dataclass(frozen=True, slots=True)
class Entry:
    """Take one entry of axis 0 and drop the axis, for a tensor that holds all experts.

    A runtime fills in both fields for the expert that it asks for.
    """

    index: int = 0  # from 0
    count: int | None = None  # entries that axis 0 must have; None: any number


Transform = Transpose | Split | SplitGroups | Entry | Offset | Permute


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """Where a logical module stands in the checkpoint, and which transforms undo its storage.

    In the prefix `{i}` stands for the layer and `{e}` for the expert. `Entry()` takes an expert from a tensor of all
    experts.
    """

    prefix: str  # prefix of the names of its parameters
    transforms: tuple[Transform, ...] = ()  # applied in this order
    # True: the prefix is itself the name of the weight; other names append an underscore (`experts.down_proj_bias`).
    is_weight: bool = False

    def name(self, parameter: str) -> str:
        """The name of a tensor. If the module is itself a tensor, its parameter is ""."""
        if not parameter or (self.is_weight and parameter == "weight"):
            return self.prefix
        return f"{self.prefix}{'_' if self.is_weight else '.'}{parameter}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How a checkpoint stores its linears if it does not store them plainly: `quantization_config`, for each linear."""

    FEATURE: ClassVar[str] = "quantization"
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({"stored"})

    method: str  # "gptq"; schemes declare `quantization.method=gptq`
    # For each logical module that is stored so, the method's parameters. All other linears are stored plainly.
    linears: Mapping[str, Mapping[str, Any]] = field(hash=False)
    # The dtype that keys and values were calibrated for, if the config says so. `cache.dtype = "auto"` takes it.
    cache_dtype: DType | None = None
    # The tensors of the same modules; empty if nothing is known of them, as for weights that are drawn at random.
    stored: Mapping[str, StoredLinear] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """All facts that a runtime needs of a decoder-only model, or of an encoder: a model whose layers are not causal."""

    FEATURE: ClassVar[str] = "model"
    # A pooler reads these fields; requests for vectors are checked for them.
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({"pooling", "other_heads"})

    architecture: str  # as in `architectures` of config.json
    vocab_size: int  # rows of the embedding
    hidden_size: int  # elements of a hidden state
    max_length: int  # tokens
    layers: tuple[Layer, ...]  # in the order in which they run
    final_norm: Norm | None  # before the head
    modules: Mapping[str, ModuleSource] = field(hash=False)  # logical template -> checkpoint
    dtype: DType  # dtype of the training, as the checkpoint states it
    end_token_ids: tuple[int, ...]  # ids that end an output, beside those of the tokenizer
    tied_head: bool = False  # the head is the embedding
    learned_positions: int | None = None  # rows of the position table
    position_offset: int = 0  # added before the look-up (OPT: 2)
    embedding_scale: float = 1.0  # multiplies embeddings
    embedding_norm: Norm | None = None  # over embeddings
    logit_scale: float = 1.0  # multiplies logits
    logit_soft_cap: float | None = None  # c * tanh(logits / c), after logit_scale
    head_bias: bool = False  # added to logits
    has_head: bool = True  # False: the model draws no tokens, and gives only vectors or scores
    # Rows of a table. Each token adds the row of the text that it belongs to (BERT).
    segments: int | None = None
    classifier: Classifier | None = None  # scores of whole texts
    other_heads: tuple[str, ...] = ()  # prefixes of tensors for other tasks
    # How the authors of the model want vectors to be made. None: they do not say.
    pooling: Pooling | None = None
    quantization: Quantization | None = None  # set by the core, never by a model plugin
    # If set, code of another library computes the layers. `layers` say only how each layer attends.
    foreign: ForeignCode | None = None

    @property
    def unscaled_length(self) -> int | None:
        """Most computed tokens of a request that runs unscaled although the ropes are scaled; for dynamic scaling alone."""
        scalings = (layer.mixer.rope.scaling for layer in self.layers if layer.mixer.rope)
        lengths = [s.original_length or 0 for s in scalings if s and s.kind == "dynamic"]
        return min(lengths, default=None)

    @property
    def linears(self) -> tuple[str, ...]:
        """Every linear as a logical module, in the order in which they run."""
        return tuple(self.shapes) if self.foreign is None else self.foreign.linears

    @property
    def shapes(self) -> Shapes:
        """Outputs and inputs of every linear, as a logical module; none if only foreign code knows them."""
        size = self.hidden_size
        found: Shapes = {}
        for index, layer in enumerate(self.layers if self.foreign is None else ()):
            mixer = layer.mixer.shapes(size, shares_cache=layer.cache_of_layer is not None)
            forward = layer.feed_forward.shapes(size) if layer.feed_forward else {}
            for place, shapes in (("mixer", mixer), ("feed_forward", forward)):
                found |= {f"layers.{index}.{place}.{name}": it for name, it in shapes.items()}
        if self.has_head and self.foreign is None:
            found["head"] = (self.vocab_size, size)
        return found

    def source(self, module: str) -> ModuleSource:
        """Where a logical module, e.g. `layers.3.mixer.q`, stands in the checkpoint. Raises KeyError if it is not mapped.

        Modules of foreign code that are not in the table stand under their own names.
        """
        if module in self.modules:
            return self.modules[module]
        if self.foreign is not None:
            return ModuleSource(module)
        head, _, rest = module.partition(".")
        index, _, rest = rest.partition(".")
        expert = _EXPERT.search(rest)
        template = self.modules[f"{head}.{{i}}.{_EXPERT.sub('{e}', rest)}"]
        source = replace(template, prefix=template.prefix.replace("{i}", index))
        return source if expert is None else self._expert_source(source, int(index), int(expert[0]))

    def _expert_source(self, source: ModuleSource, layer: int, expert: int) -> ModuleSource:
        experts = self.layers[layer].feed_forward
        count = experts.router.num_experts if isinstance(experts, Experts) else None
        return replace(
            source,
            prefix=source.prefix.replace("{e}", str(expert)),
            transforms=tuple(
                Entry(expert, count) if transform == Entry() else transform
                for transform in source.transforms
            ),
        )

    def cache_groups(self, dtype: DType) -> tuple[CacheGroup, ...]:
        """Groups of layers that can share block tables; full attention comes first."""
        found: dict[CacheUse, list[int]] = {}
        for index, layer in enumerate(self.layers):
            if layer.cache_of_layer is None:
                for use in layer.mixer.caches(dtype):
                    found.setdefault(use, []).append(index)
        return tuple(
            CacheGroup(
                index=number,
                kind=use.kind,
                layers=tuple(layers),
                tensors=use.tensors,
                window=use.window,
                chunk_size=use.chunk_size,
            )
            for number, (use, layers) in enumerate(sorted(found.items(), key=_order))
        )


def _order(found: tuple[CacheUse, list[int]]) -> tuple[Any, ...]:
    use = found[0]
    reach = use.window or use.chunk_size or 0
    return KINDS.index(use.kind), reach, [tensor.shape for tensor in use.tensors]
