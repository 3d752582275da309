"""From the parameters of a request to SamplingParams. A parameter that cannot be obeyed is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec

from jackfield_openai_server.decode import converted
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.protocol.chat import ChatRequest, ResponseFormat
from jackfield_openai_server.protocol.common import SamplingFields, StructuredOutputs
from jackfield_openai_server.protocol.completions import CompletionRequest

# Parameters with the same name in the engine.
_SAME = (
    "frequency_penalty",
    "presence_penalty",
    "temperature",
    "top_p",
    "min_p",
    "repetition_penalty",
    "min_tokens",
    "ignore_eos",
    "n",
    "prompt_logprobs",
    "skip_special_tokens",
    "bad_words",
    "allowed_token_ids",
    "logits_processors",
)


def sampling_of(request: SamplingFields) -> dict[str, Any]:
    """The sampling parameters of both kinds of completions, as fields of SamplingParams. Raises ApiError."""
    values: dict[str, Any] = {
        name: value for name in _SAME if (value := getattr(request, name)) is not None
    }
    if request.top_k is not None:
        values["top_k"] = max(request.top_k, 0)  # -1 also means all
    if request.seed is not None:
        values["seed"] = request.seed & (2**63 - 1)  # negative seeds are allowed
    if request.stop:
        values["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
    if request.include_stop_str_in_output:
        values["include_stop"] = True
    if request.stop_token_ids:
        values["stop_token_ids"] = request.stop_token_ids
    if (shape := structure_of(request)) is not None:
        values["structured"] = _structured(shape)
    if request.logit_bias:
        values["logit_bias"] = _bias(request.logit_bias)
    if request.use_beam_search:
        penalty = request.length_penalty
        values["beam_search"] = {
            "width": request.n or 1,
            "length_penalty": 1.0 if penalty is None else penalty,
        }
    elif request.length_penalty not in (None, 1.0):
        raise ApiError(400, "length_penalty needs use_beam_search = true", param="length_penalty")
    return values


def completion_sampling(request: CompletionRequest) -> dict[str, Any]:
    """The sampling parameters of a completion."""
    values = sampling_of(request)
    values["max_tokens"] = 16 if request.max_tokens is None else request.max_tokens
    if request.suffix:
        raise ApiError(400, "suffix is not served", param="suffix", code="unsupported_parameter")
    if request.logprobs is not None:
        values["logprobs"] = request.logprobs
        if request.echo:
            values["prompt_logprobs"] = max(request.logprobs, request.prompt_logprobs or 0)
    if request.response_format is not None:
        shape = response_format(
            converted(request.response_format, ResponseFormat, "response_format")
        )
        if shape is not None:
            values.setdefault("structured", shape)
    best_of, n = request.best_of, request.n or 1
    if best_of is not None and best_of != n:
        if best_of < n:
            raise ApiError(400, f"best_of must be at least n = {n}, got {best_of}", param="best_of")
        if request.stream:
            raise ApiError(400, "best_of cannot be streamed", param="best_of")
        if "beam_search" in values:
            values["beam_search"]["width"] = best_of
            return values
        values["n"] = best_of
        values.setdefault("logprobs", 0)
    return values


def chat_sampling(request: ChatRequest) -> dict[str, Any]:
    """The sampling parameters of a chat completion."""
    values = sampling_of(request)
    if (shape := response_format(request.response_format)) is not None:
        values.setdefault("structured", shape)
    limit = request.max_completion_tokens
    values["max_tokens"] = request.max_tokens if limit is None else limit
    if request.top_logprobs is not None and not request.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs = true", param="top_logprobs")
    if request.logprobs:
        values["logprobs"] = request.top_logprobs or 0
    if any(modality != "text" for modality in request.modalities or ()):
        raise ApiError(400, "only text is served", param="modalities", code="unsupported_parameter")
    return values


def structure_of(request: SamplingFields) -> StructuredOutputs | None:
    """The wanted structure of an output, under any of its names."""
    if request.structured_outputs is not None:
        return request.structured_outputs
    older = StructuredOutputs(
        json=request.guided_json,
        regex=request.guided_regex,
        choice=request.guided_choice,
        grammar=request.guided_grammar,
    )
    return None if older == StructuredOutputs() else older


def response_format(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    """`response_format` as SamplingParams.structured. Raises ApiError."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"json_object": True}
    if wanted.type == "json_schema":
        if wanted.json_schema is None or wanted.json_schema.schema is None:
            text = "json_schema needs a schema"
            raise ApiError(400, text, param="response_format", code="invalid_value")
        return {"json": msgspec.json.encode(wanted.json_schema.schema).decode()}
    if wanted.format is not None:
        tag: dict[str, Any] = {"type": "structural_tag", "format": wanted.format}
    else:
        tag = {"structures": wanted.structures or [], "triggers": wanted.triggers or []}
    return {"structural_tag": _text(tag)}


def _structured(wanted: StructuredOutputs) -> dict[str, Any]:
    """The one form that is asked for. Raises ApiError if there is none, or several."""
    given: dict[str, Any] = {
        "json": wanted.json if isinstance(wanted.json, str | None) else _text(wanted.json),
        "regex": wanted.regex,
        "choice": wanted.choice,
        "grammar": wanted.grammar,
        "json_object": wanted.json_object or None,
        "structural_tag": wanted.structural_tag
        if isinstance(wanted.structural_tag, str | None)
        else _text(wanted.structural_tag),
    }
    found = {form: value for form, value in given.items() if value is not None}
    if len(found) != 1:
        raise ApiError(
            400,
            f"structured_outputs must have exactly one of {', '.join(given)}, got {len(found)}",
            param="structured_outputs",
            code="invalid_value",
        )
    return found


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _bias(given: dict[str, float]) -> dict[int, float]:
    try:
        bias = {int(token_id): value for token_id, value in given.items()}
    except ValueError:
        raise ApiError(
            400, "logit_bias must map token ids to numbers", param="logit_bias"
        ) from None
    for value in bias.values():
        if not -100 <= value <= 100:
            raise ApiError(
                400, f"logit_bias must be in [-100, 100], got {value}", param="logit_bias"
            )
    return bias
