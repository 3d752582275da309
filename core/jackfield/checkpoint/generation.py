"""How a model's authors want tokens to be drawn: generation_config.json as defaults of sampling parameters."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from jackfield.errors import CheckpointError, RequestError
from jackfield.sampling import SamplingParams

logger = logging.getLogger(__name__)
FILE = "generation_config.json"
_FIELDS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",  # written by servers; Transformers has no such key
    "frequency_penalty": "frequency_penalty",
    "max_new_tokens": "max_tokens",
    "min_new_tokens": "min_tokens",
}
_DRAWING = ("temperature", "top_p", "top_k", "min_p")  # these count only if tokens are drawn
# Keys that change the drawn tokens but are not supported, with the values that have no effect.
_NOT_SERVED: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "penalty_alpha": (0, 0.0),
    "typical_p": (1, 1.0),
    "epsilon_cutoff": (0, 0.0),
    "eta_cutoff": (0, 0.0),
    "top_h": (),
    "no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1, 1.0),
    "bad_words_ids": ([],),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "sequence_bias": ({},),
    "exponential_decay_length_penalty": (),
    "guidance_scale": (1, 1.0),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "stop_strings": (),
}


def sampling_defaults(generation: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Fields of SamplingParams that `generation`, the content of generation_config.json, sets.

    As in Transformers, a false `do_sample` means greedy. One warning names keys that are not supported; `where` is
    the place in that warning.
    """
    others = [key for key, idle in _NOT_SERVED.items() if _asks(generation.get(key), idle)]
    stops = generation.get("stop_strings")
    found = {
        field: value for key, field in _FIELDS.items() if (value := generation.get(key)) is not None
    }
    if stops:
        found["stop"] = stops if isinstance(stops, str) else tuple(stops)
        others.remove("stop_strings")
    if generation.get("do_sample") is False:
        found = {field: value for field, value in found.items() if field not in _DRAWING}
        found["temperature"] = 0.0
    if others:
        logger.warning("%s asks for what is not served: %s", where, ", ".join(others))
    try:
        SamplingParams(**found)
    except RequestError as error:
        raise CheckpointError(f"{where} cannot be used: {error}. Correct or remove it") from error
    return found


def _asks(value: Any, idle: tuple[Any, ...]) -> bool:
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is not None and value not in idle and not is_nan
