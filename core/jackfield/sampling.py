"""What a user may ask of the sampling of one request."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from jackfield.errors import RequestError

_NO_BIAS: Mapping[int, float] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the tokens of one request are drawn and when it stops.

    Raises RequestError where a value is not allowed; `from_mapping` also for unknown names. What a worker must know
    is a named feature (`sampling.top_k`): a platform that does not declare it never sees such a request.
    """

    FEATURE: ClassVar[str] = "sampling"
    # read by the core alone, or by every worker
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset(
        {
            "n",
            "max_tokens",
            "temperature",
            "seed",
            "stop",
            "include_stop",
            "stop_token_ids",
            "ignore_eos",
            "skip_special_tokens",
        }
    )

    n: int = 1  # outputs for the one prompt
    max_tokens: int | None = 16  # new tokens at most; None: as many as the model's length allows
    min_tokens: int = 0  # end tokens and stop tokens are masked before this many
    temperature: float = 1.0  # 0 is greedy
    # of the most likely tokens as many as have this much probability together; 1: all
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    min_p: float = 0.0  # relative to the most likely token
    repetition_penalty: float = 1.0  # over prompt and output
    presence_penalty: float = 0.0  # over the output
    frequency_penalty: float = 0.0  # over the output
    logit_bias: Mapping[int, float] = field(default_factory=lambda: _NO_BIAS)  # by token id
    # equal seeds draw equal tokens; None: from model.seed and the number of the request
    seed: int | None = None
    stop: str | tuple[str, ...] = ()  # kept as a tuple
    include_stop: bool = False  # keep the stop string in the text
    stop_token_ids: tuple[int, ...] = ()  # end the output, beside the end tokens
    ignore_eos: bool = False  # go on past end tokens
    logprobs: int | None = None  # this many most likely tokens beside the drawn one
    prompt_logprobs: int | None = None  # likewise at each position of the prompt
    skip_special_tokens: bool = True  # leave them out of the text

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        else:
            object.__setattr__(self, "stop", tuple(self.stop))
        object.__setattr__(self, "stop_token_ids", tuple(self.stop_token_ids))
        for check in _CHECKS:
            check(self)

    @property
    def is_greedy(self) -> bool:
        """True where no random number is drawn."""
        return self.temperature == 0.0

    def computes_within(self, num_prompt_tokens: int, length: int) -> bool:
        """True where a request computes `length` tokens at most; the last one that it draws is never computed."""
        return self.max_tokens is not None and num_prompt_tokens + self.max_tokens - 1 <= length

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SamplingParams:
        """Sampling parameters from names and values, as a server or a file gives them."""
        known = {item.name for item in fields(cls)}
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise RequestError(
                    f"unknown sampling field {name!r}{hint or '.'} Allowed: {', '.join(sorted(known))}"
                )
        return cls(**values)


def _check_range(name: str, low: float, high: float, *, open_low: bool = False) -> Any:
    text = f"{'(' if open_low else '['}{low:g}, {high:g}]"

    def check(params: SamplingParams) -> None:
        value = getattr(params, name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
            raise RequestError(f"{name} must be a number in {text}, got {value!r}")
        if not (low < value if open_low else low <= value) or value > high:
            raise RequestError(f"{name} must be in {text}, got {value!r}")

    return check


def _check_count(name: str, low: int, *, optional: bool = False) -> Any:
    def check(params: SamplingParams) -> None:
        value = getattr(params, name)
        if optional and value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            wanted = f"a whole number of at least {low}" + (" or None" if optional else "")
            raise RequestError(f"{name} must be {wanted}, got {value!r}")

    return check


def _check_stop(params: SamplingParams) -> None:
    for text in params.stop:
        if not isinstance(text, str) or not text:
            raise RequestError(f"stop must hold strings that are not empty, got {text!r}")


def _check_lengths(params: SamplingParams) -> None:
    if params.max_tokens is not None and params.min_tokens > params.max_tokens:
        raise RequestError(
            f"min_tokens must not exceed max_tokens, got {params.min_tokens} > {params.max_tokens}"
        )


def _check_bias(params: SamplingParams) -> None:
    for token_id, bias in params.logit_bias.items():
        if not isinstance(token_id, int) or token_id < 0 or math.isnan(bias):
            raise RequestError(
                f"logit_bias must map token ids to numbers, got {token_id!r}: {bias!r}"
            )


_CHECKS = (
    _check_count("n", 1),
    _check_count("max_tokens", 1, optional=True),
    _check_count("min_tokens", 0),
    _check_lengths,
    _check_range("temperature", 0, 100),
    _check_range("top_p", 0, 1, open_low=True),
    _check_count("top_k", 0),
    _check_range("min_p", 0, 1),
    _check_range("repetition_penalty", 0, 100, open_low=True),
    _check_range("presence_penalty", -100, 100),
    _check_range("frequency_penalty", -100, 100),
    _check_count("seed", 0, optional=True),
    _check_count("logprobs", 0, optional=True),
    _check_count("prompt_logprobs", 0, optional=True),
    _check_stop,
    _check_bias,
)
