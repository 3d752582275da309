"""A model as data: what each layer is made of, and where its weights stand in the checkpoint.

Every runtime interprets the same spec. The logical modules of a decoder, which the table `modules` maps to names in
a checkpoint, are (`{i}` is the layer):

    embedding                             [vocab, hidden]
    positions                             [max_length, hidden], where `learned_positions`
    layers.{i}.mixer_norm                 before the mixer         layers.{i}.mixer_post_norm      after it
    layers.{i}.mixer.q, .k, .v            column-parallel linears  layers.{i}.mixer.o              row-parallel
    layers.{i}.mixer.q_norm, .k_norm      over a head              layers.{i}.mixer.sinks          [heads]
    layers.{i}.mixer.k_scale, .v_scale    [1], of cached float8; the core fills them in where a checkpoint has them
    layers.{i}.mixer.gate                 column-parallel, where `out_gate`
    layers.{i}.mixer.q, or .q_a, .q_norm, .q_b                     of latent attention, as .kv_a, .latent_norm, .kv_b, .o
    layers.{i}.mixer.z, .x, .b, .c, .dt   column-parallel, of Mamba-2, as .conv, .a_log, .d, .dt_bias, .norm, .o
    layers.{i}.mixer.q, .k, .v, .z, .beta, .decay                  of delta networks, as .conv, .a_log, .dt_bias, .norm, .o
    layers.{i}.mixer.attention..., .mixer.recurrent...             of mixers side by side
    layers.{i}.feed_forward_norm          before the feed-forward  layers.{i}.feed_forward_post_norm
    layers.{i}.feed_forward.gate, .up     column-parallel          layers.{i}.feed_forward.down    row-parallel
    layers.{i}.feed_forward.router        [experts, hidden], of experts, as all that follows
    layers.{i}.feed_forward.choice_bias   [experts], where `router.choice_bias`
    layers.{i}.feed_forward.experts.{e}.gate, .up, .down           of expert e
    layers.{i}.feed_forward.shared.gate, .up, .down                of the experts that see every token, as one
    layers.{i}.feed_forward.shared_gate   [1, hidden], where `shared_gate`
    final_norm
    head                                  column-parallel [vocab, hidden]; absent where `tied_head`, or not `has_head`
    segments                              [texts, hidden], where `segments`
    classifier.dense, .norm, .out         of `classifier`

No name ever means a fused tensor. `sinks`, `choice_bias`, `a_log`, `d`, `dt_bias`, `k_scale` and `v_scale` are themselves tensors: their source is
a whole name, not a prefix. Parameters inside a module (`weight`, `bias`, or `qweight`, `scales`, ...) are the business of the linear's
quantization scheme.
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
from jackfield.pooling import Classifier, Pooling
from jackfield.spec_parts import Norm as Norm
from jackfield.spec_parts import Rope as Rope
from jackfield.spec_parts import RopeScaling as RopeScaling
from jackfield.spec_parts import Temperature as Temperature

_EXPERT = re.compile(r"(?<=^feed_forward\.experts\.)\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """down(activation(gate(x)) * up(x)), or down(activation(up(x))) where not gated."""

    FEATURE: ClassVar[str] = "feed_forward"

    size: int  # elements
    # "silu", "gelu" (erf), "gelu_tanh", "gelu_sigmoid" (x * sigmoid(1.702 x)), "relu", "relu_squared"
    activation: str = "silu"
    gated: bool = True  # False: no gate
    bias: bool = False  # of all its linears
    clip: float | None = None  # gate is clipped from above at c, up to [-c, c] (gpt-oss)
    up_offset: float = 0.0  # added to up before the product (gpt-oss: 1)
    gate_scale: float = 1.0  # multiplies gate before the activation (Falcon-H1)
    out_scale: float = 1.0  # multiplies what down gives (Falcon-H1)

    @property
    def linears(self) -> tuple[str, ...]:
        """Names below the feed-forward's module, in the order in which they run."""
        return ("gate", "up", "down") if self.gated else ("up", "down")

    def width(self, hidden_size: int) -> int:
        """Elements that a token needs at once between input and output."""
        return (3 if self.gated else 2) * self.size

    def num_parameters(self, hidden_size: int) -> int:
        """Elements of its matrices."""
        return len(self.linears) * hidden_size * self.size

    def num_active_parameters(self, hidden_size: int) -> int:
        """Those that one token is multiplied with: all."""
        return self.num_parameters(hidden_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """Which experts a token goes to, and with which weights: the best `top_k` by scores, computed in float32.

    With groups the experts are cut into `num_groups` equal parts, and only those of the `top_groups` best parts can be
    chosen (DeepSeek-AI 2024). "sparse_mixer" chooses one after another, each weighed by a softmax over those not chosen
    before whose logits l have (m - l) / max(|l|, m) <= 2 `jitter`, where m is the largest (Liu et al. 2024).
    """

    FEATURE: ClassVar[str] = "router"

    num_experts: int  # that tokens are shared out to
    top_k: int  # experts a token
    scoring: str = "softmax"  # over all experts, "sigmoid" of each, or "sparse_mixer"
    renormalise: bool = False  # the weights of the chosen sum to one
    choice_bias: bool = False  # a learned bias decides who is chosen, and is no part of the weight
    bias: bool = False  # of the router's linear
    scale: float = 1.0  # multiplies weights
    scales_inputs: bool = (
        False  # weights multiply what an expert is given, not what it gives (Llama 4)
    )
    num_groups: int = 1  # equal parts of the experts
    top_groups: int = 1  # parts that can be chosen from
    group_score: str = "max"  # of a part: its best expert, or "top2": the sum of its two best
    jitter: float = 0.0  # of "sparse_mixer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A mixture of experts (Shazeer et al. 2017): each token goes through a few of many feed-forwards."""

    FEATURE: ClassVar[str] = "experts"
    IS_FEATURE: ClassVar[bool] = True

    router: Router  # who takes which token
    expert: FeedForward  # of each
    shared: FeedForward | None = None  # sees every token
    # a sigmoid of a learned projection multiplies what the shared one gives (Qwen2-MoE)
    shared_gate: bool = False

    @property
    def linears(self) -> tuple[str, ...]:
        """Names below the feed-forward's module. The router is no linear that schemes see."""
        shared = [f"shared.{name}" for name in self.shared.linears] if self.shared else []
        numbers = range(self.router.num_experts)
        return (*shared, *(f"experts.{e}.{name}" for e in numbers for name in self.expert.linears))

    def width(self, hidden_size: int) -> int:
        """Elements that a token needs at once between input and output, which each of its experts has for itself."""
        shared = self.shared.width(hidden_size) if self.shared else 0
        return shared + self.router.top_k * (self.expert.width(hidden_size) + 2 * hidden_size)

    def num_parameters(self, hidden_size: int) -> int:
        """Elements of its matrices."""
        return self._num_parameters(hidden_size, self.router.num_experts)

    def num_active_parameters(self, hidden_size: int) -> int:
        """Those that one token is multiplied with."""
        return self._num_parameters(hidden_size, self.router.top_k)

    def _num_parameters(self, hidden_size: int, num_experts: int) -> int:
        shared = self.shared.num_parameters(hidden_size) if self.shared else 0
        experts = num_experts * self.expert.num_parameters(hidden_size)
        return self.router.num_experts * hidden_size + shared + experts


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """x += post(mixer(pre(x))), then x += post(feed_forward(pre(x))); see `parallel` for both at once.

    With `norm_after_sum` x = norm(x + mixer(x)), then x = norm(x + feed_forward(x)).
    """

    FEATURE: ClassVar[str] = "layer"

    mixer: Mixer  # what lets tokens see others
    feed_forward: (
        FeedForward | Experts | None
    )  # of this layer; None: the mixer is all of it (Mamba)
    mixer_norm: Norm | None  # before the mixer
    feed_forward_norm: Norm | None  # before the feed-forward
    mixer_post_norm: Norm | None = None  # after the mixer
    feed_forward_post_norm: Norm | None = None  # after the feed-forward
    residual_scale: float = 1.0  # multiplies each branch before it is added
    cache_of_layer: int | None = None  # reads and writes the cache of an earlier layer
    # both branches read the layer's input; without feed_forward_norm they share what mixer_norm gives (GPT-J)
    parallel: bool = False
    norm_after_sum: bool = False  # mixer_norm and feed_forward_norm follow the sums (BERT)


@dataclass(frozen=True, slots=True)
class Transpose:
    """Swap the two axes of a matrix (GPT-2 stores [in, out]); other ranks pass."""


@dataclass(frozen=True, slots=True)
class Split:
    """Take rows [start, stop) of axis 0 (after a Transpose: of the outputs)."""

    start: int  # row
    stop: int  # row behind the last


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
    start: int  # row of a part
    stop: int  # row behind the last


@dataclass(frozen=True, slots=True)
class Entry:
    """Take one of axis 0, which goes: a tensor holds all experts. Both are filled in for the expert that is asked for."""

    index: int = 0  # from 0
    count: int | None = None  # entries that axis 0 must have; None: any number


Transform = Transpose | Split | SplitGroups | Entry | Offset | Permute


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """Where a logical module stands in the checkpoint, and what undoes its storage.

    In the prefix `{i}` stands for the layer and `{e}` for the expert, or `Entry()` takes it from a tensor of all.
    """

    prefix: str  # of the names of its parameters
    transforms: tuple[Transform, ...] = ()  # applied in this order
    # the prefix is itself the weight's name, which others follow behind an underscore (`experts.down_proj_bias`)
    is_weight: bool = False

    def name(self, parameter: str) -> str:
        """Of the tensor; the parameter of a module that is itself a tensor is ""."""
        if not parameter or (self.is_weight and parameter == "weight"):
            return self.prefix
        return f"{self.prefix}{'_' if self.is_weight else '.'}{parameter}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How a checkpoint stores its linears, where not plainly: `quantization_config`, read for each of them."""

    FEATURE: ClassVar[str] = "quantization"

    method: str  # "gptq"; schemes declare `quantization.method=gptq`
    # of the linears that are stored so, by logical module, the method's parameters; all others are stored plainly
    linears: Mapping[str, Mapping[str, Any]] = field(hash=False)
    # that keys and values were calibrated for, where the config says so; `cache.dtype` set to auto means it
    cache_dtype: DType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """All that a runtime needs to know of a decoder-only model, or of an encoder: a model whose layers are not causal."""

    FEATURE: ClassVar[str] = "model"
    # who pools, reads it; requests are checked for that
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({"pooling", "other_heads"})

    architecture: str  # as in `architectures` of config.json
    vocab_size: int  # rows of the embedding
    hidden_size: int  # elements of a hidden state
    max_length: int  # tokens
    layers: tuple[Layer, ...]  # in the order in which they run
    final_norm: Norm | None  # before the head
    modules: Mapping[str, ModuleSource] = field(hash=False)  # logical template -> checkpoint
    dtype: DType  # that the checkpoint says it was trained in
    end_token_ids: tuple[int, ...]  # that end an output, beside those of the tokenizer
    tied_head: bool = False  # the head is the embedding
    learned_positions: int | None = None  # rows of the position table
    position_offset: int = 0  # added before the look-up (OPT: 2)
    embedding_scale: float = 1.0  # multiplies embeddings
    embedding_norm: Norm | None = None  # over embeddings
    logit_scale: float = 1.0  # multiplies logits
    logit_soft_cap: float | None = None  # c * tanh(logits / c), after logit_scale
    head_bias: bool = False  # added to logits
    has_head: bool = True  # False: it gives no tokens, only vectors or scores
    segments: int | None = None  # rows of a table of which each token adds that of its text (BERT)
    classifier: Classifier | None = None  # scores whole texts
    other_heads: tuple[str, ...] = ()  # prefixes of tensors that are there for other tasks
    pooling: Pooling | None = None  # how its authors want vectors to be made; None: they do not say
    quantization: Quantization | None = None  # the core fills it in; a model plugin leaves it
    # code of another library computes the layers; they say how each attends and nothing else
    foreign: ForeignCode | None = None

    @property
    def unscaled_length(self) -> int | None:
        """Computed tokens up to which a request runs unscaled though the ropes are scaled: of dynamic scaling alone."""
        scalings = (layer.mixer.rope.scaling for layer in self.layers if layer.mixer.rope)
        lengths = [s.original_length or 0 for s in scalings if s and s.kind == "dynamic"]
        return min(lengths, default=None)

    @property
    def linears(self) -> tuple[str, ...]:
        """Every linear as a logical module, in the order in which they run."""
        if self.foreign is not None:
            return self.foreign.linears
        found = []
        for index, layer in enumerate(self.layers):
            names = layer.mixer.linears(shares_cache=layer.cache_of_layer is not None)
            found += [f"layers.{index}.mixer.{name}" for name in names]
            forward = layer.feed_forward.linears if layer.feed_forward else ()
            found += [f"layers.{index}.feed_forward.{name}" for name in forward]
        return (*found, "head") if self.has_head else tuple(found)

    def source(self, module: str) -> ModuleSource:
        """Where the logical module, e.g. `layers.3.mixer.q`, stands in the checkpoint. KeyError if unmapped.

        Modules of foreign code that are not in the table have their own names there.
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
        """Layers that can share block tables, grouped; full attention first."""
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
