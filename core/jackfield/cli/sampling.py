"""Sampling parameters on a command line: every field, left open if it is not given."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from jackfield.errors import ConfigError

# Option, type, placeholder, help. The names are those of SamplingParams.
_NUMBERS: tuple[tuple[str, type[int] | type[float], str, str], ...] = (
    ("temperature", float, "T", "0 is greedy; 1 where neither you nor the model says"),
    ("top-p", float, "P", "the likeliest tokens that make up this share"),
    ("top-k", int, "K", "so many of the likeliest tokens; 0: all"),
    ("min-p", float, "P", "tokens at least this likely, relative to the likeliest"),
    ("repetition-penalty", float, "R", "over prompt and answer; 1: none"),
    ("presence-penalty", float, "R", "over the answer; 0: none"),
    ("frequency-penalty", float, "R", "over the answer; 0: none"),
    ("min-tokens", int, "N", "new tokens at least"),
    ("n", int, "N", "answers to each prompt"),
    ("seed", int, "N", "the same again for the same seed"),
    ("logprobs", int, "K", "log probabilities, of K likely tokens beside the drawn one"),
    ("prompt-logprobs", int, "K", "likewise of the prompt"),
)
_FLAGS = (
    ("include-stop", "keep the stop text"),
    ("ignore-eos", "go on after the end token"),
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "0": "\0"}


def add_sampling_arguments(parser: argparse.ArgumentParser, *, fits_context: bool = False) -> None:
    """Declare an option for each field. `fits_context`: by default the command takes as many tokens as fit."""
    from jackfield.sampling import MAX_TOKENS

    group = parser.add_argument_group(
        "sampling (what is left out is as the model's authors want it)"
    )
    word = "as many as fit" if fits_context else str(MAX_TOKENS)
    group.add_argument(
        "--max-tokens", type=_tokens, metavar="N|none", help=f"new tokens at most ({word}); none: as many as fit",
        default=argparse.SUPPRESS,
    )  # fmt: skip
    for name, kind, placeholder, text in _NUMBERS:
        group.add_argument(
            f"--{name}", type=kind, metavar=placeholder, help=text, default=argparse.SUPPRESS
        )
    for name, text in _FLAGS:
        group.add_argument(f"--{name}", action="store_true", help=text, default=argparse.SUPPRESS)
    group.add_argument(
        "--stop", action="append", metavar="TEXT", default=argparse.SUPPRESS,
        help=r"end before this text, in which \n and \t are understood; may be given several times",
    )  # fmt: skip
    group.add_argument(
        "--stop-token-ids", type=int, nargs="+", metavar="ID", help="end after one of these tokens", default=argparse.SUPPRESS
    )  # fmt: skip
    group.add_argument(
        "--logit-bias", action="append", metavar="ID=VALUE", default=argparse.SUPPRESS,
        help="add to the logit of a token; may be given several times",
    )  # fmt: skip
    group.add_argument(
        "--allowed-token-ids", type=int, nargs="+", metavar="ID", help="draw no other tokens", default=argparse.SUPPRESS
    )  # fmt: skip
    group.add_argument(
        "--bad-words", action="append", metavar="TEXT", help="never say this; may be given several times",
        default=argparse.SUPPRESS,
    )  # fmt: skip
    group.add_argument(
        "--logits-processors", type=_processors, metavar="JSON", default=argparse.SUPPRESS,
        help='installed plugins that change logits, such as {"no_repeat_ngram": {"size": 3}}',
    )  # fmt: skip
    group.add_argument(
        "--use-adapter", dest="adapter_used", metavar="NAME", default=argparse.SUPPRESS,
        help="answer with this one of the adapters that --adapter or the settings name",
    )  # fmt: skip
    group.add_argument(
        "--beam-search", type=_beam_search, metavar="WIDTH|JSON", default=argparse.SUPPRESS,
        help='search for the likeliest answers: 4, or {"width": 4, "length_penalty": 0.8, "early_stopping": true}',
    )  # fmt: skip
    group.add_argument(
        "--structured", type=_structured, metavar="FORM=VALUE", default=argparse.SUPPRESS,
        help='what the answer must look like, such as choice=["yes","no"]; the value is JSON, or text',
    )  # fmt: skip
    group.add_argument(
        "--keep-special-tokens", dest="skip_special_tokens", action="store_false", help="show them in the text",
        default=argparse.SUPPRESS,
    )  # fmt: skip


def given_fields(arguments: argparse.Namespace) -> Mapping[str, Any]:
    """The fields that were given."""
    options = [option[0] for option in _NUMBERS] + [option[0] for option in _FLAGS]
    names = [name.replace("-", "_") for name in options]
    names += ["structured", "max_tokens", "stop_token_ids", "skip_special_tokens"]
    names += ["allowed_token_ids", "bad_words", "beam_search", "logits_processors"]
    found = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    if hasattr(arguments, "adapter_used"):
        found["adapter"] = arguments.adapter_used
    if hasattr(arguments, "stop"):
        found["stop"] = tuple(map(unescaped, arguments.stop))
    if hasattr(arguments, "logit_bias"):
        found["logit_bias"] = dict(map(_bias, arguments.logit_bias))
    return found


def unescaped(text: str) -> str:
    r"""A text of a command line, with \n, \t, \r, \0 and \\ replaced by their characters; other backslashes stay."""
    parts = text.split("\\")
    found, rest = parts[0], iter(parts[1:])
    for part in rest:
        if not part:  # two backslashes
            found += "\\" + next(rest, "")
        else:
            found += _ESCAPES.get(part[0], "\\" + part[0]) + part[1:]
    return found


def _tokens(word: str) -> int | None:
    return None if word.lower() == "none" else int(word)


def _structured(entry: str) -> Mapping[str, Any]:
    form, equals, value = entry.partition("=")
    if not equals or not form:
        raise ConfigError(
            f'--structured takes FORM=VALUE, got {entry!r}; e.g. --structured \'choice=["yes", "no"]\''
        )
    try:
        return {form: json.loads(value)}
    except ValueError:
        return {form: value}


def _processors(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        raise ConfigError(f"--logits-processors takes a JSON object, got {word!r}") from None


def _beam_search(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        raise ConfigError(
            f"--beam-search takes a number or a JSON object, got {word!r}; e.g. --beam-search 4"
        ) from None


def _bias(entry: str) -> tuple[int, float]:
    token_id, equals, value = entry.partition("=")
    try:
        if equals:
            return int(token_id), float(value)
    except ValueError:
        pass
    raise ConfigError(f"--logit-bias takes ID=VALUE, got {entry!r}; e.g. --logit-bias 50256=-100")
