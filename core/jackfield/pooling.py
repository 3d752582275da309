"""Vectors and scores instead of tokens: how a model pools the hidden states of a prompt, and what a request may ask
for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from jackfield.errors import RequestError
from jackfield.spec_parts import Norm

LAST = "last"  # the hidden state of the last token
MEAN = "mean"  # the mean over all tokens
CLS = "cls"  # the hidden state of the first token
KINDS = (LAST, MEAN, CLS)
VECTOR = "vector"  # the pooled vector
CLASSES = "classes"  # scores of the classes of a classification head
OUTPUTS = (VECTOR, CLASSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A linear after pooling. Its weights stand in a folder of their own (the module `Dense` of Sentence
    Transformers).
    """

    FEATURE: ClassVar[str] = "dense"

    folder: str  # folder of the model that holds `linear.weight` and `linear.bias`
    in_size: int  # elements
    out_size: int  # elements
    bias: bool = True
    activation: str | None = None  # "tanh", or an activation of FeedForward


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """How the authors of a model want a vector to be made of the normed hidden states of a prompt."""

    FEATURE: ClassVar[str] = "pooling"
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset(
        {"normalize", "dimensions", "prompts", "default_prompt", "source"}
    )

    kind: str  # one of KINDS
    normalize: bool = True  # True: the result is scaled to length one
    dense: tuple[Dense, ...] = ()  # applied after pooling, before normalising
    # Sizes that vectors may be cut to (Kusupati et al. 2022, Matryoshka). (): any size. None: the files do not say.
    dimensions: tuple[int, ...] | None = None
    prompts: Mapping[str, str] | None = None  # texts to put before an input, by name
    default_prompt: str | None = None  # name of the prompt that holds if a request names none
    source: str = "nobody"  # where these facts come from, for `explain`

    def in_words(self) -> str:
        """A description for people."""
        what = {LAST: "the last token", MEAN: "the mean of all tokens", CLS: "the first token"}
        behind = "".join(f", a linear to {dense.out_size} elements" for dense in self.dense)
        return what[self.kind] + behind + (", normalised" if self.normalize else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """Scores of a whole text: out(norm(activation(dense(x)))) of its pooled hidden state x.

    Its modules are `classifier.dense`, `classifier.norm` and `classifier.out`.
    """

    FEATURE: ClassVar[str] = "classifier"
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({"labels"})

    num_classes: int  # 1: one score, as a reranker gives
    pooling: str  # one of KINDS
    labels: tuple[str, ...] = ()  # names of the classes
    dense: bool = False  # True: a linear of the hidden size comes first
    dense_bias: bool = True  # the first linear has a bias
    activation: str | None = None  # after the first linear: "tanh", or an activation of FeedForward
    norm: Norm | None = None  # after the activation
    bias: bool = True  # the last linear has a bias
    # "softmax" over the classes, or "sigmoid" of each class. One class is always "sigmoid".
    scoring: str = "softmax"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingParams:
    """What a user may ask of the vector or the scores of one request. None: as the model's authors want it."""

    FEATURE: ClassVar[str] = "pooling"

    kind: str | None = None  # one of KINDS
    normalize: bool | None = None  # True: scale to length one
    # Keep this many leading elements, and normalise again if the vector was normalised.
    dimensions: int | None = None
    output: str = VECTOR  # one of OUTPUTS
    # Give scores of these tokens as the next token, by softmax, instead of a vector (rerankers that answer yes or no).
    token_ids: tuple[int, ...] = ()
    # False: scores are the values before sigmoid or softmax.
    activation: bool = True

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise RequestError(f"kind must be one of {', '.join(KINDS)} or None, got {self.kind!r}")
        if self.output not in OUTPUTS:
            raise RequestError(f"output must be one of {', '.join(OUTPUTS)}, got {self.output!r}")
        for name in ("normalize", "activation"):
            if not isinstance(value := getattr(self, name), bool | None):
                raise RequestError(f"{name} must be true or false, got {value!r}")
        token_ids = tuple(self.token_ids)
        if not all(type(token_id) is int for token_id in token_ids):
            raise RequestError(f"token_ids must hold token ids, got {self.token_ids!r:.200}")
        # JSON and msgpack give lists, so the field is kept as a tuple.
        object.__setattr__(self, "token_ids", token_ids)
        size = self.dimensions
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise RequestError(f"dimensions must be a whole number of at least 1, got {size!r}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Make parameters from names and values. Raises RequestError for an unknown name."""
        names = [item.name for item in fields(cls)]
        if unknown := sorted(values.keys() - set(names)):
            raise RequestError(
                f"unknown pooling parameters {', '.join(unknown)}; known: {', '.join(names)}"
            )
        return cls(**values)

    def completed(self, pooling: Pooling) -> PoolingParams:
        """These parameters, with the wishes of the model's authors for fields that the request left open."""
        return replace(
            self,
            kind=pooling.kind if self.kind is None else self.kind,
            normalize=pooling.normalize if self.normalize is None else self.normalize,
        )

    @property
    def needs_all_tokens(self) -> bool:
        """True if the hidden states of earlier tokens count, so that no token may come from the prefix cache."""
        return self.kind != LAST
