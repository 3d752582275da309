"""`/v1/embeddings`, `/score`, `/rerank` and `/classify`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

# Limits of lists from clients, so that one request cannot block the server.
Texts = Annotated[list[str], msgspec.Meta(min_length=1, max_length=4096)]
Inputs = Annotated[list[int | str | list[int]], msgspec.Meta(min_length=1, max_length=1 << 17)]


class PoolingFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields that all of them take."""

    model: str | None = None  # default: the first served model
    user: str | None = None  # accepted, but not used
    priority: int | None = None  # lower runs first


class EmbeddingRequest(PoolingFields, kw_only=True):
    """One text or several, as text or token ids."""

    input: str | Inputs
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    # Not in OpenAI's API.
    pooling: Literal["last", "mean", "cls"] | None = None
    normalize: bool | None = None
    # Name of a text that the model's files say to put before an input.
    prompt_name: str | None = None
    add_special_tokens: bool | None = None


class EmbeddingObject(msgspec.Struct):
    """One vector: numbers, or base64 of float32 in little-endian order."""

    object: str
    index: int
    embedding: list[float] | str


class VectorUsage(msgspec.Struct):
    """The number of tokens of all prompts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(msgspec.Struct):
    """The vectors, in the order of the texts."""

    object: str
    data: list[EmbeddingObject]
    model: str
    usage: VectorUsage


class ScoreRequest(PoolingFields, kw_only=True):
    """Pairs of texts: one text and several, or two lists of equal length."""

    text_1: str | Texts
    text_2: str | Texts


class ScoreObject(msgspec.Struct):
    """How well the texts of one pair fit each other."""

    index: int
    object: str
    score: float


class ScoreList(msgspec.Struct):
    """The scores, in the order of the pairs."""

    id: str
    object: str
    created: int
    model: str
    data: list[ScoreObject]
    usage: VectorUsage


class RerankRequest(PoolingFields, kw_only=True):
    """A query, and documents to sort."""

    query: str
    documents: Annotated[list[str | dict[str, Any]], msgspec.Meta(min_length=1, max_length=4096)]
    top_n: Annotated[int, msgspec.Meta(ge=0)] | None = None  # 0: all
    return_documents: bool = True
    max_tokens_per_doc: int | None = None  # for clients of Cohere; accepted, but nothing is cut


class RerankedDocument(msgspec.Struct):
    """A document, as it was given."""

    text: str


class RerankResult(msgspec.Struct, omit_defaults=True):
    """One document with its score."""

    index: int  # index in the request
    relevance_score: float
    document: RerankedDocument | None = None


class RerankResponse(msgspec.Struct):
    """The documents, the best first."""

    id: str
    model: str
    usage: VectorUsage
    results: list[RerankResult]


class ClassifyRequest(PoolingFields, kw_only=True):
    """Texts to sort into the model's classes."""

    input: str | Texts


class ClassifyObject(msgspec.Struct):
    """The probabilities of one text's classes."""

    index: int
    probs: list[float]
    num_classes: int


class ClassifyList(msgspec.Struct):
    """The classes of all texts, in the order of the texts."""

    id: str
    object: str
    created: int
    model: str
    data: list[ClassifyObject]
    usage: VectorUsage
