"""What a user may ask of the sampling of one request."""

from __future__ import annotations

import difflib
import json
import math
import numbers
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, ClassVar, Literal

from jackfield.errors import RequestError

_NO_BIAS: Mapping[int, float] = {}
_NO_PROCESSORS: Mapping[str, Mapping[str, Any]] = {}


class OpenFloat(float):
    """A default that the user did not ask for: if the model's files give a value, that value takes its place."""


class OpenInt(int):
    """As OpenFloat, for whole numbers."""


class OpenTexts(tuple[str, ...]):
    """As OpenFloat, for texts."""

    __slots__ = ()


MAX_TOKENS: int = OpenInt(128)  # new tokens if neither user nor model gives a number
OPEN_STOP: tuple[str, ...] = OpenTexts()


class OutputKind(StrEnum):
    """What each `RequestOutput` of a stream holds, and when there is one."""

    CUMULATIVE = "cumulative"  # everything so far, each time the request moves
    DELTA = "delta"  # what is new since the last one: text, token ids, log probabilities
    FINAL = "final"  # everything, once, when the whole request has ended


@dataclass(frozen=True, slots=True)
class Structured:
    """What an output must look like: a form, which a plugin compiles, and a value in the language of that form.

    A mapping with one entry, such as `{"choice": ["yes", "no"]}`, can stand in place of a Structured.
    """

    form: str  # "choice": one of several texts
    value: Hashable  # a text, or a tuple of texts

    @classmethod
    def of(cls, given: Any) -> Structured:
        """Make one from a mapping with one entry. Raises RequestError."""
        if isinstance(given, Structured):
            return given
        if not isinstance(given, Mapping) or len(given) != 1:
            raise RequestError(
                f'structured must be a mapping with one entry, such as {{"choice": ["yes", "no"]}}, got {given!r:.200}'
            )
        ((form, value),) = given.items()
        if isinstance(value, Mapping):  # a JSON schema
            try:
                value = json.dumps(value)
            except (TypeError, ValueError, RecursionError) as error:
                raise RequestError(
                    f"structured.{form} cannot be written as JSON: {error}"
                ) from None
        return cls(form, tuple(value) if isinstance(value, list) else value)


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamSearch:
    """Search for the likeliest answers instead of drawing one: beam search as Transformers computes it.

    The score of a finished answer is the sum of its log probabilities divided by its length ** length_penalty. A
    mapping, or the width alone, can stand in place of a BeamSearch: `{"width": 4}`, `4`. Raises RequestError.
    """

    width: int  # number of answers that are followed at once
    length_penalty: float = 1.0  # above 0 favours long answers
    # When to stop. True: when `width` answers have ended. False: when no better answer is likely. "never": when none is
    # possible.
    early_stopping: bool | Literal["never"] = False

    def __post_init__(self) -> None:
        if not isinstance(self.width, int) or isinstance(self.width, bool) or self.width < 1:
            raise RequestError(
                f"beam_search.width must be a whole number of at least 1, got {self.width!r}"
            )
        penalty = self.length_penalty
        if not isinstance(penalty, int | float) or not abs(penalty) <= 100:
            raise RequestError(
                f"beam_search.length_penalty must be in [-100, 100], got {penalty!r}"
            )
        if self.early_stopping not in (True, False, "never"):
            raise RequestError(
                f'beam_search.early_stopping must be true, false or "never", got {self.early_stopping!r}'
            )

    @classmethod
    def of(cls, given: Any) -> BeamSearch:
        """Make one from a mapping of its fields, or from a width. Raises RequestError."""
        if isinstance(given, BeamSearch):
            return given
        if isinstance(given, int):
            return cls(width=given)
        names = [item.name for item in fields(cls)]
        if not isinstance(given, Mapping) or "width" not in given or set(given) - set(names):
            raise RequestError(
                f"beam_search must be a mapping with width, and perhaps {', '.join(names[1:])}, got {given!r:.200}"
            )
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the tokens of one request are drawn and when it stops.

    None means the default of a field, as if the field were left out. Numbers of NumPy are accepted as numbers. If a
    field is left out and the model's generation_config.json has a value for it, that value holds; see
    `with_defaults`.

    Raises RequestError if a value is not allowed; `from_mapping` also for unknown names. Each field that a worker
    must know is a named feature (`sampling.top_k`): a platform that does not declare it never gets such a request.
    """

    FEATURE: ClassVar[str] = "sampling"
    # Fields that the core reads alone, or that every worker reads.
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
            "output_kind",
            "beam_search",
            "adapter",
        }
    )

    n: int = 1  # outputs for one prompt
    # The most new tokens. None: as many as the model's length allows.
    max_tokens: int | None = MAX_TOKENS
    min_tokens: int = OpenInt(0)  # end tokens and stop tokens are masked before this many
    temperature: float = OpenFloat(1.0)  # 0 is greedy
    # The most likely tokens that have this much probability together may be drawn. 1: all tokens.
    top_p: float = OpenFloat(1.0)
    top_k: int = OpenInt(0)  # this many most likely tokens may be drawn; 0: all
    min_p: float = OpenFloat(0.0)  # least probability, relative to the most likely token
    repetition_penalty: float = OpenFloat(1.0)  # applies to prompt and output
    presence_penalty: float = 0.0  # applies to the output
    frequency_penalty: float = 0.0  # applies to the output
    logit_bias: Mapping[int, float] = field(default_factory=lambda: _NO_BIAS)  # token id -> number
    allowed_token_ids: tuple[int, ...] | None = None  # only these tokens may be drawn; None: all
    # What is never said. A text is forbidden in the middle of a text and at the beginning of a word; token ids are also
    # allowed. If the output ends with all tokens of a bad word but the last, that last token cannot be drawn.
    bad_words: tuple[str | tuple[int, ...], ...] = ()
    # Installed plugins that change logits, by name, each with its arguments.
    logits_processors: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: _NO_PROCESSORS
    )
    # Equal seeds draw equal tokens. None: the seed follows from model.seed and the number of the request.
    seed: int | None = None
    adapter: str = ""  # name of the adapter that changes the weights; "": none
    stop: str | tuple[str, ...] = OPEN_STOP  # kept as a tuple
    include_stop: bool = False  # True: the text keeps the stop string
    stop_token_ids: tuple[int, ...] = ()  # they end the output, as the end tokens do
    ignore_eos: bool = False  # True: the output goes on past end tokens
    logprobs: int | None = None  # number of most likely tokens to report beside the drawn one
    prompt_logprobs: int | None = None  # the same at each position of the prompt
    skip_special_tokens: bool = True  # True: the text leaves them out
    # What the output must look like; kept as Structured.
    structured: Structured | Mapping[str, Any] | None = None
    # Search for the likeliest answers; `n` of them are returned. Nothing is drawn then, so temperature, filters and
    # seed have no effect.
    beam_search: BeamSearch | Mapping[str, Any] | int | None = None
    output_kind: OutputKind = OutputKind.CUMULATIVE  # what each output of a stream holds

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            plain = _plain(item, value)
            if plain is not value:
                object.__setattr__(self, item.name, plain)
        for check in _CHECKS:
            check(self)

    def with_defaults(self, values: Mapping[str, Any]) -> SamplingParams:
        """These parameters, with `values` from a model's files for the fields that the user left open."""
        left = {name: value for name, value in values.items() if _is_open(getattr(self, name))}
        if "max_tokens" in left:
            left["max_tokens"] = max(left["max_tokens"], self.min_tokens)
        return replace(self, **left) if left else self

    @property
    def is_greedy(self) -> bool:
        """True if no random number is drawn."""
        return self.temperature == 0.0

    def computes_within(self, num_prompt_tokens: int, length: int) -> bool:
        """True if a request computes at most `length` tokens. The last token that it draws is never computed."""
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


def _is_open(value: Any) -> bool:
    return isinstance(value, OpenFloat | OpenInt | OpenTexts)


def _plain(item: Field[Any], value: Any) -> Any:
    """A value as the field keeps it: None as its default, numbers of NumPy as Python's, lists as tuples."""
    if value is None and item.name == "max_tokens":
        return None  # as many as the model's length allows
    if value is None:
        if item.name == "logits_processors":
            return _NO_PROCESSORS
        return item.default if item.default is not MISSING else _NO_BIAS
    if item.name == "stop":
        return (value,) if isinstance(value, str) else _as_tuple(item.name, value, "texts")
    if item.name in ("stop_token_ids", "allowed_token_ids"):
        return tuple(map(_as_number, _as_tuple(item.name, value, "token ids")))
    if item.name == "bad_words":
        return tuple(map(_as_bad_word, _as_tuple(item.name, value, "texts")))
    if item.name == "output_kind":
        return OutputKind(value) if value in tuple(OutputKind) else value
    if item.name == "logit_bias" and isinstance(value, Mapping):
        return {_as_id(token_id): _as_number(bias) for token_id, bias in value.items()}
    if item.name == "structured":
        return Structured.of(value)
    if item.name == "beam_search":
        return BeamSearch.of(value)
    if item.name == "top_k" and type(value) is int and value == -1:
        return 0  # as vLLM writes "all"
    return _as_number(value)


def _as_tuple(name: str, value: Any, what: str) -> tuple[Any, ...]:
    if isinstance(value, tuple):
        return value
    try:
        return tuple(value)
    except TypeError:
        raise RequestError(f"{name} must be a list of {what} or None, got {value!r}") from None


def _as_bad_word(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return tuple(map(_as_number, _as_tuple("a bad word", value, "token ids")))


def _as_id(value: Any) -> Any:
    """A token id. As a key of a JSON object it comes as a text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else _as_number(value)


def _as_number(value: Any) -> Any:
    """`value` as a number of Python if it is a number of another library, else `value` itself."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


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


def _check_stop_ids(params: SamplingParams) -> None:
    for token_id in params.stop_token_ids:
        if not isinstance(token_id, int) or token_id < 0:
            raise RequestError(f"stop_token_ids must hold token ids, got {token_id!r}")


def _check_allowed(params: SamplingParams) -> None:
    allowed = params.allowed_token_ids
    if allowed is None:
        return
    if not allowed:
        raise RequestError("allowed_token_ids must hold at least one token id; None allows all")
    for token_id in allowed:
        if not isinstance(token_id, int) or token_id < 0:
            raise RequestError(f"allowed_token_ids must hold token ids, got {token_id!r}")


def _check_bad_words(params: SamplingParams) -> None:
    for word in params.bad_words:
        if not word or (not isinstance(word, str) and not all(map(_is_id, word))):
            raise RequestError(
                f"bad_words must hold texts or lists of token ids that are not empty, got {word!r}"
            )


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _check_processors(params: SamplingParams) -> None:
    asked = params.logits_processors
    if not isinstance(asked, Mapping) or not all(
        isinstance(name, str) and isinstance(arguments, Mapping)
        for name, arguments in asked.items()
    ):
        raise RequestError(
            f"logits_processors must map names to arguments, got {asked!r:.200}; "
            'e.g. {"no_repeat_ngram": {"size": 3}}'
        )


def _check_output_kind(params: SamplingParams) -> None:
    if not isinstance(params.output_kind, OutputKind):
        raise RequestError(
            f"output_kind must be one of {', '.join(OutputKind)}, got {params.output_kind!r}"
        )


def _check_beam_search(params: SamplingParams) -> None:
    search = params.beam_search
    if search is None:
        return
    assert isinstance(search, BeamSearch), "it was made one"
    if params.n > search.width:
        raise RequestError(
            f"n must not exceed beam_search.width, got {params.n} > {search.width}; raise the width"
        )
    for name, neutral in _NOT_SEARCHED.items():
        if (value := getattr(params, name)) != neutral:
            raise RequestError(
                f"beam_search follows the model's own probabilities: leave out {name}, got {value!r}"
            )


# Fields that have no effect on a search. A request that sets one of them beside beam_search is refused.
_NOT_SEARCHED: Mapping[str, Any] = {
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "logit_bias": {},
    "allowed_token_ids": None,
    "bad_words": (),
    "logits_processors": {},
    "stop": (),
    "structured": None,
    "prompt_logprobs": None,
}


def _check_bias(params: SamplingParams) -> None:
    if not isinstance(params.logit_bias, Mapping):
        raise RequestError(
            f"logit_bias must map token ids to numbers, got {params.logit_bias!r}; e.g. {{50256: -100.0}}"
        )
    for token_id, bias in params.logit_bias.items():
        is_id = isinstance(token_id, int) and token_id >= 0
        if not is_id or not isinstance(bias, int | float) or math.isnan(bias):
            raise RequestError(
                f"logit_bias must map token ids to numbers, got {token_id!r}: {bias!r}"
            )


def _check_adapter(params: SamplingParams) -> None:
    if not isinstance(params.adapter, str):
        raise RequestError(f"adapter must be the name of an adapter, got {params.adapter!r}")


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
    _check_stop_ids,
    _check_bias,
    _check_allowed,
    _check_bad_words,
    _check_output_kind,
    _check_processors,
    _check_beam_search,
    _check_adapter,
)
