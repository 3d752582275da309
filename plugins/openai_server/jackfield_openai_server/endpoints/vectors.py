"""`/v1/embeddings`, `/score`, `/rerank` and `/classify`: vectors and scores of whole texts."""

from __future__ import annotations

import base64
import sys
import time
from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from jackfield.engine.prompt import TextPair
from jackfield.engine.scoring import Scoring, pairs_of
from jackfield.pooling import CLASSES, PoolingParams
from jackfield_openai_server.decode import read_body
from jackfield_openai_server.endpoints.completions import prompts_of
from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.generation import Generation
from jackfield_openai_server.protocol.vectors import (
    ClassifyList,
    ClassifyObject,
    ClassifyRequest,
    EmbeddingList,
    EmbeddingObject,
    EmbeddingRequest,
    PoolingFields,
    RerankedDocument,
    RerankRequest,
    RerankResponse,
    RerankResult,
    ScoreList,
    ScoreObject,
    ScoreRequest,
    VectorUsage,
)
from jackfield_openai_server.served import ServedModel
from jackfield_openai_server.sse import all_of, unless_gone
from jackfield_openai_server.state import new_id, state_of


async def embed(http: Request) -> Response:
    """Compute the vectors of one or several texts."""
    request = await read_body(http, EmbeddingRequest)
    model = await state_of(http).take(request.model)
    params = PoolingParams(
        kind=request.pooling, normalize=request.normalize, dimensions=request.dimensions
    )
    adds_special = request.add_special_tokens is not False
    prompts = [
        await _encoded(model, prompt, request.prompt_name, adds_special=adds_special)
        for prompt in _inputs(request.input)
    ]
    vectors = await _computed(http, model, request, [_Prompt(ids, params) for ids in prompts])
    is_text = request.encoding_format == "base64"
    data = [
        EmbeddingObject(
            "embedding",
            index,
            base64.b64encode(vector).decode() if is_text else _floats(vector).tolist(),
        )
        for index, vector in enumerate(vectors)
    ]
    name = request.model or model.names[0]
    return json_response(EmbeddingList("list", data, name, _usage(prompts)))


async def score(http: Request) -> Response:
    """Score how well the texts of pairs fit each other."""
    request = await read_body(http, ScoreRequest)
    model = await state_of(http).take(request.model)
    scores, usage = await _scored(http, model, request, pairs_of(request.text_1, request.text_2))
    data = [ScoreObject(index, "score", value) for index, value in enumerate(scores)]
    name = request.model or model.names[0]
    return json_response(ScoreList(new_id("score"), "list", int(time.time()), name, data, usage))


async def rerank(http: Request) -> Response:
    """Sort documents by how well they fit a query, the best first."""
    request = await read_body(http, RerankRequest)
    model = await state_of(http).take(request.model)
    texts = [_text_of(document) for document in request.documents]
    scores, usage = await _scored(http, model, request, pairs_of(request.query, texts))
    order = sorted(range(len(texts)), key=lambda index: -scores[index])
    results = [
        RerankResult(
            index,
            scores[index],
            RerankedDocument(texts[index]) if request.return_documents else None,
        )
        for index in order[: request.top_n or None]
    ]
    name = request.model or model.names[0]
    return json_response(RerankResponse(new_id("rerank"), name, usage, results))


async def classify(http: Request) -> Response:
    """Compute the probabilities of a model's classes."""
    request = await read_body(http, ClassifyRequest)
    model = await state_of(http).take(request.model)
    params = PoolingParams(output=CLASSES)
    texts = [request.input] if isinstance(request.input, str) else request.input
    length = model.facts.max_length
    prompts = [await model.text.encode(text, max_length=length) for text in texts]
    found = await _computed(http, model, request, [_Prompt(ids, params) for ids in prompts])
    data = [
        ClassifyObject(index, list(probabilities), len(probabilities))
        for index, probabilities in enumerate(map(_floats, found))
    ]
    name, created = request.model or model.names[0], int(time.time())
    usage = _usage(prompts)
    return json_response(ClassifyList(new_id("classify"), "list", created, name, data, usage))


@dataclass(frozen=True, slots=True)
class _Prompt:
    token_ids: list[int]
    params: PoolingParams = field(default_factory=PoolingParams)
    second_text: int | None = None


async def _scored(
    http: Request, model: ServedModel, request: PoolingFields, pairs: Sequence[tuple[str, str]]
) -> tuple[list[float], VectorUsage]:
    facts = model.facts
    scoring = Scoring(num_classes=facts.num_classes, prompts=facts.prompts)
    prompts: list[_Prompt] = []
    for text in scoring.texts(pairs):
        if isinstance(text.prompt, TextPair):
            ids, second = await model.text.encode_pair(
                text.prompt.first, text.prompt.second, facts.max_length
            )
            prompts.append(_Prompt(ids, text.params, second))
        else:
            ids = await _encoded(model, text.prompt, text.prompt_name)
            prompts.append(_Prompt(ids, text.params))
    vectors = [_floats(found) for found in await _computed(http, model, request, prompts)]
    scores = [
        scoring.score([vectors[place] for place in places]) for places in scoring.places(pairs)
    ]
    return scores, _usage([prompt.token_ids for prompt in prompts])


async def _computed(
    http: Request, model: ServedModel, request: PoolingFields, prompts: Sequence[_Prompt]
) -> list[bytes]:
    """The vectors of all prompts, float32. If one of them fails, none are returned."""
    state = state_of(http)
    with ExitStack() as undone:
        generations: list[Generation] = []
        for prompt in prompts:
            params: dict[str, Any] = asdict(prompt.params)
            generation = state.pool(
                http, model, prompt.token_ids, params, request, prompt.second_text
            )
            undone.callback(generation.close)
            generations.append(generation)
        return await unless_gone(http, all_of(map(_vector_of, generations)))


async def _vector_of(generation: Generation) -> bytes:
    ((last,),) = await generation.collect()
    if last.vector is None:
        raise ApiError(500, "the engine gave no vector", code="request_failed")
    return last.vector


async def _encoded(
    model: ServedModel,
    prompt: str | list[int],
    prompt_name: str | None,
    *,
    adds_special: bool = True,
) -> list[int]:
    """The token ids of a text, with the text before it that the model's files ask for. Raises ApiError."""
    prompts = model.facts.prompts
    if not isinstance(prompt, str):
        if prompt_name is not None:
            text = f"the prompt {prompt_name!r} stands before a text; give the text"
            raise ApiError(400, text, param="prompt_name")
        return prompt
    if not prompt:
        raise ApiError(400, "the prompt is empty; give at least one token", param="input")
    name = model.facts.default_prompt if prompt_name is None else prompt_name
    if name is not None and name not in prompts:
        known = ", ".join(map(repr, prompts)) or "none"
        text = f"no prompt is called {name!r}; this model's files have {known}"
        raise ApiError(400, text, param="prompt_name")
    before = prompts[name] if name is not None else ""
    return await model.text.encode(
        before + prompt, add_special_tokens=adds_special, max_length=model.facts.max_length
    )


def _inputs(given: str | list[int | str | list[int]]) -> list[str | list[int]]:
    try:
        return prompts_of(given)
    except ApiError as error:
        raise ApiError(
            400, str(error).replace("prompt mixes", "input mixes"), param="input"
        ) from None


def _text_of(document: str | dict[str, Any]) -> str:
    text = document if isinstance(document, str) else document.get("text")
    if not isinstance(text, str):
        raise ApiError(
            400, "a document must be a text, or an object with one under 'text'", param="documents"
        )
    return text


def _floats(vector: bytes) -> array[float]:
    found = array("f", vector)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _usage(prompts: Sequence[list[int]]) -> VectorUsage:
    total = sum(map(len, prompts))
    return VectorUsage(total, total)
