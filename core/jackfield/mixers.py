"""Mixers of a model spec: the parts that let a token see earlier ones. Each mixer states its linears and its caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jackfield.cache import (
    CHUNKED,
    FULL,
    LATENT,
    NONE,
    RECURRENT,
    WINDOW,
    CacheTensor,
    CacheUse,
    key_and_value,
)
from jackfield.dtypes import FLOAT32, DType
from jackfield.spec_parts import Norm, RelativeBias, Rope, Temperature

Shapes = dict[str, tuple[int, int]]
"""Outputs and inputs of linears, by name, in the order in which they run."""

_ALWAYS = 1 << 30  # more queries than any row has
ALIBI_SIZE = 8
"""Additional elements of a cached head if positions enter as linear biases (`Attention.alibi`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Softmax attention with grouped queries; the mixer of nearly all decoders."""

    FEATURE: ClassVar[str] = "attention"

    num_heads: int  # heads of queries
    num_kv_heads: int  # heads of keys and values; divides num_heads
    head_size: int  # elements
    scale: float  # multiplies q.k before the softmax
    rope: Rope | None = None  # None: the mixer does not rotate queries and keys
    # Tokens that a query sees, itself included. If not `causal`, it sees this many on each side, itself included.
    window: int | None = None
    # Tokens of a chunk: positions are cut into chunks, and a query sees only its own chunk (Llama 4).
    chunk_size: int | None = None
    soft_cap: float | None = None  # c * tanh(logits / c)
    qkv_bias: bool = False  # the linears q, k and v have a bias
    out_bias: bool = False  # the linear o has a bias
    q_norm: Norm | None = None  # applied to each head, before the rotation
    k_norm: Norm | None = None  # the same for keys
    joint_norms: bool = False  # True: q_norm and k_norm run over all heads together (OLMo 2)
    head_weights: bool = False  # True: in q_norm and k_norm each head has its own weights (Cohere)
    norm_after_rope: bool = False  # True: q_norm and k_norm follow the rotation (HunYuan)
    qkv_clip: float | None = None  # projections are clipped to [-c, c] (OLMo, MPT)
    alibi: bool = False  # distances are subtracted from scores, by head (Press et al. 2022)
    relative_bias: RelativeBias | None = None  # added to scores, by distance (MPNet)
    sinks: bool = False  # each head has a learned logit that takes part in the softmax
    # True: the output is multiplied by the sigmoid of a projection of the input (Qwen3-Next).
    out_gate: bool = False
    temperature: Temperature | None = None  # multiplies queries by a factor of their position
    causal: bool = True  # False: a token sees later tokens too, so nothing is cached

    @property
    def cached_head_size(self) -> int:
        """Elements of a head in the cache."""
        return self.head_size + (ALIBI_SIZE if self.alibi else 0)

    @property
    def attention(self) -> Attention:
        """The attention over the cache that a backend computes for this mixer."""
        return self

    def shapes(self, hidden_size: int, *, shares_cache: bool = False) -> Shapes:
        """The linears below the mixer's module.

        `shares_cache`: the layer reads the cache of an earlier layer.
        """
        queries, keys = (n * self.head_size for n in (self.num_heads, self.num_kv_heads))
        into = {"q": queries} if shares_cache else {"q": queries, "k": keys, "v": keys}
        if self.out_gate:
            into["gate"] = queries
        return {**_of_hidden(into, hidden_size), "o": (hidden_size, queries)}

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        """What a layer keeps, with keys and values of `dtype`."""
        tensors = key_and_value(self.num_kv_heads, self.cached_head_size, dtype)
        if not self.causal:
            return (CacheUse(kind=NONE, tensors=tensors),)
        if self.chunk_size is not None:
            return (CacheUse(kind=CHUNKED, tensors=tensors, chunk_size=self.chunk_size),)
        kind = FULL if self.window is None else WINDOW
        return (CacheUse(kind=kind, tensors=tensors, window=self.window),)

    def num_parameters(self, hidden_size: int) -> int:
        """Elements of its matrices."""
        return _num_elements(self.shapes(hidden_size))

    def width(self, hidden_size: int) -> int:
        """Elements that a token needs at once between input and output: q, k, v and the output of attention."""
        return 2 * self.head_size * (self.num_heads + self.num_kv_heads)

    def refuse_ranks(self, num_ranks: int) -> str:
        """Why this mixer cannot be shared out to `num_ranks` ranks; empty if it can."""
        heads, kv_heads = self.num_heads, self.num_kv_heads
        if heads % num_ranks or (kv_heads % num_ranks and num_ranks % kv_heads):
            return (
                f"{num_ranks} ranks cannot share the {heads} heads and {kv_heads} key-value heads"
            )
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Attention whose keys and values follow from one latent vector a token (DeepSeek-AI 2024, multi-head latent attention).

    A key of a head is `head_size` elements computed from the latent vector, followed by `rope.rotary_size` rotated
    elements that all heads share. The cache holds the normed latent vector, followed by the rotated elements.
    """

    FEATURE: ClassVar[str] = "latent_attention"
    IS_FEATURE: ClassVar[bool] = True

    num_heads: int  # heads of queries
    head_size: int  # elements of a query or key that are not rotated
    value_size: int  # elements of a value
    latent_size: int  # elements of the latent vector
    scale: float  # multiplies q.k before the softmax
    rope: Rope  # for the elements behind `head_size`
    latent_norm: Norm  # applied to the latent vector
    # Queries follow from a latent vector of this size; None: from the input.
    query_latent_size: int | None = None
    query_norm: Norm | None = None  # applied to the latent vector of queries
    bias: bool = False  # the linears q_a, kv_a and o have a bias

    @property
    def attention(self) -> Attention:
        """Attention with queries projected into the space of latent vectors. All heads see the same latent vector."""
        size = self.latent_size + self.rope.rotary_size
        return Attention(num_heads=self.num_heads, num_kv_heads=1, head_size=size, scale=self.scale)

    @property
    def most_absorbed(self) -> int:
        """Queries of a row up to which attention over latent vectors costs no more than making keys and values of them.

        By operations for each head and token of the context: absorbed queries are longer; `kv_b` runs once.
        """
        expanded = self.head_size + self.value_size
        longer = 2 * self.latent_size - expanded
        return self.latent_size * expanded // longer if longer > 0 else _ALWAYS

    def shapes(self, hidden_size: int, *, shares_cache: bool = False) -> Shapes:
        """The linears below the mixer's module. `kv_a` gives the cached vector; `kv_b` makes keys and values from a latent
        vector.
        """
        rotated = self.rope.rotary_size
        queries, between = self.num_heads * (self.head_size + rotated), self.query_latent_size
        into: Shapes = {"q": (queries, hidden_size)}
        if between is not None:
            into = {"q_a": (between, hidden_size), "q_b": (queries, between)}
        return {
            **into,
            "kv_a": (self.latent_size + rotated, hidden_size),
            "kv_b": (self.num_heads * (self.head_size + self.value_size), self.latent_size),
            "o": (hidden_size, self.num_heads * self.value_size),
        }

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        """One vector for each token."""
        shape = (1, self.latent_size + self.rope.rotary_size)
        latent = CacheTensor(name="latent", shape=shape, dtype=dtype)
        return (CacheUse(kind=LATENT, tensors=(latent,)),)

    def num_parameters(self, hidden_size: int) -> int:
        """Elements of its matrices."""
        return _num_elements(self.shapes(hidden_size))

    def width(self, hidden_size: int) -> int:
        """Elements that a token needs at once between input and output: queries and outputs in both spaces."""
        size = self.head_size + self.rope.rotary_size + self.value_size
        return 2 * self.num_heads * (self.latent_size + size)

    def refuse_ranks(self, num_ranks: int) -> str:
        """Why this mixer cannot be shared out to `num_ranks` ranks; empty if it can."""
        if self.num_heads % num_ranks:
            return f"{num_ranks} ranks cannot share the {self.num_heads} heads"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2:
    """A state space model with one decay for each head (Dao and Gu 2024), after a short convolution; z gates its output.

    For each head h: state = exp(dt a) state + dt x b, y = state c + d x, with dt = softplus(dt + dt_bias), a =
    -exp(a_log).
    """

    FEATURE: ClassVar[str] = "mamba2"
    IS_FEATURE: ClassVar[bool] = True

    num_heads: int  # heads of x and dt
    head_size: int  # elements of a head
    state_size: int  # elements of b and c
    num_groups: int  # groups of b and c; divides num_heads
    conv_size: int  # tokens that the convolution sees, itself included
    norm: Norm | None  # over each group of the gated output; None: no norm
    conv_bias: bool = True  # the convolution has a bias
    in_bias: bool = False  # the linears z, x, b, c and dt have a bias
    out_bias: bool = False  # the linear o has a bias
    norm_before_gate: bool = False  # True: the norm comes before the gate
    min_step: float = 0.0  # least value of dt
    max_step: float | None = None  # largest value of dt
    # Factors of the outputs of the linears z, x, b, c and dt (Falcon-H1).
    scales: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)

    @property
    def rope(self) -> None:
        """None: a recurrence knows the order of its tokens."""

    @property
    def attention(self) -> None:
        """None: this mixer has no attention."""

    @property
    def size(self) -> int:
        """Elements of x, z and the output."""
        return self.num_heads * self.head_size

    @property
    def conv_channels(self) -> int:
        """Channels of x, b and c together."""
        return self.size + 2 * self.num_groups * self.state_size

    def shapes(self, hidden_size: int, *, shares_cache: bool = False) -> Shapes:
        """The linears below the mixer's module."""
        states = self.num_groups * self.state_size
        into = {"z": self.size, "x": self.size, "b": states, "c": states, "dt": self.num_heads}
        return {**_of_hidden(into, hidden_size), "o": (hidden_size, self.size)}

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        """The last inputs of the convolution, and the state."""
        state = (self.num_heads, self.head_size, self.state_size)
        return (recurrent_use(self.conv_channels, self.conv_size, state),)

    def num_parameters(self, hidden_size: int) -> int:
        """Elements of its matrices."""
        return _num_elements(self.shapes(hidden_size))

    def width(self, hidden_size: int) -> int:
        """Elements that a token needs at once between input and output, some of them in float32."""
        return 4 * (self.size + self.conv_channels)

    def refuse_ranks(self, num_ranks: int) -> str:
        """Why this mixer cannot be shared out to `num_ranks` ranks; empty if it can."""
        return _refuse_groups(num_ranks, self.num_groups, "groups of states")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet:
    """Linear attention that corrects what its state recalls (Yang et al. 2025, gated delta networks).

    For each head: state = exp(g) state, then state += k (beta (v - k state)), o = q state; q and k have length one.
    """

    FEATURE: ClassVar[str] = "gated_delta_net"
    IS_FEATURE: ClassVar[bool] = True

    num_heads: int  # heads of v, z and the state
    num_key_heads: int  # heads of q and k; divides num_heads
    key_size: int  # elements of a head of q and k
    value_size: int  # elements of a head of v
    conv_size: int  # tokens that the convolution sees, itself included
    norm: Norm  # applied to each head of the output, before the gate

    @property
    def rope(self) -> None:
        """None: a recurrence knows the order of its tokens."""

    @property
    def attention(self) -> None:
        """None: this mixer has no attention."""

    @property
    def conv_channels(self) -> int:
        """Channels of q, k and v together."""
        return 2 * self.num_key_heads * self.key_size + self.num_heads * self.value_size

    def shapes(self, hidden_size: int, *, shares_cache: bool = False) -> Shapes:
        """The linears below the mixer's module. `beta` and `decay` give one number for each head."""
        keys, values = self.num_key_heads * self.key_size, self.num_heads * self.value_size
        into = {"q": keys, "k": keys, "v": values, "z": values}
        into |= {"beta": self.num_heads, "decay": self.num_heads}
        return {**_of_hidden(into, hidden_size), "o": (hidden_size, values)}

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        """The last inputs of the convolution, and the state."""
        state = (self.num_heads, self.key_size, self.value_size)
        return (recurrent_use(self.conv_channels, self.conv_size, state),)

    def num_parameters(self, hidden_size: int) -> int:
        """Elements of its matrices."""
        return _num_elements(self.shapes(hidden_size))

    def width(self, hidden_size: int) -> int:
        """Elements that a token needs at once between input and output, some of them in float32."""
        return 4 * (self.conv_channels + 2 * self.num_heads * self.value_size)

    def refuse_ranks(self, num_ranks: int) -> str:
        """Why this mixer cannot be shared out to `num_ranks` ranks; empty if it can."""
        return _refuse_groups(num_ranks, self.num_key_heads, "heads of keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelMixers:
    """Attention and a recurrence over the same input, whose outputs are added (Falcon-H1).

    Their modules are `mixer.attention` and `mixer.recurrent`.
    """

    FEATURE: ClassVar[str] = "parallel_mixers"
    IS_FEATURE: ClassVar[bool] = True

    attention: Attention  # reads and writes keys and values
    recurrent: Mamba2  # reads and writes a state
    attention_in_scale: float = 1.0  # multiplies the input of the attention
    attention_out_scale: float = 1.0  # multiplies its output
    recurrent_in_scale: float = 1.0  # multiplies the input of the recurrence
    recurrent_out_scale: float = 1.0  # multiplies its output

    @property
    def rope(self) -> Rope | None:
        """The rope of the attention."""
        return self.attention.rope

    def shapes(self, hidden_size: int, *, shares_cache: bool = False) -> Shapes:
        """The linears below the mixer's module."""
        attention = self.attention.shapes(hidden_size).items()
        recurrent = self.recurrent.shapes(hidden_size).items()
        return {
            **{f"attention.{name}": shape for name, shape in attention},
            **{f"recurrent.{name}": shape for name, shape in recurrent},
        }

    def caches(self, dtype: DType) -> tuple[CacheUse, ...]:
        """The caches of both."""
        return (*self.attention.caches(dtype), *self.recurrent.caches(dtype))

    def num_parameters(self, hidden_size: int) -> int:
        """Elements of its matrices."""
        parts = self.attention, self.recurrent
        return sum(part.num_parameters(hidden_size) for part in parts)

    def width(self, hidden_size: int) -> int:
        """Elements that a token needs at once between input and output."""
        return max(part.width(hidden_size) for part in (self.attention, self.recurrent))

    def refuse_ranks(self, num_ranks: int) -> str:
        """Why this mixer cannot be shared out to `num_ranks` ranks; empty if it can."""
        return self.attention.refuse_ranks(num_ranks) or self.recurrent.refuse_ranks(num_ranks)


Mixer = Attention | LatentAttention | Mamba2 | GatedDeltaNet | ParallelMixers
"""The mixers that a layer can have. All members have `rope`, `attention` and the methods of Attention."""


def recurrent_use(channels: int, conv_size: int, state: tuple[int, ...]) -> CacheUse:
    """The cache of a convolution's last inputs and a state. Both are float32, because errors would add up."""
    return CacheUse(
        kind=RECURRENT,
        tensors=(
            CacheTensor(name="conv", shape=(channels, conv_size - 1), dtype=FLOAT32),
            CacheTensor(name="state", shape=state, dtype=FLOAT32),
        ),
    )


def _refuse_groups(num_ranks: int, num_groups: int, what: str) -> str:
    return (
        f"{num_ranks} ranks cannot share the {num_groups} {what}" if num_groups % num_ranks else ""
    )


def _of_hidden(outputs: Mapping[str, int], hidden_size: int) -> Shapes:
    """Linears of the hidden state, with these numbers of outputs."""
    return {name: (size, hidden_size) for name, size in outputs.items()}


def _num_elements(shapes: Shapes) -> int:
    return sum(outputs * inputs for outputs, inputs in shapes.values())
