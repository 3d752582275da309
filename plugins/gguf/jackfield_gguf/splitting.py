"""How text is cut into words before bytes are merged, for each name in `tokenizer.ggml.pre`.

The patterns are those with which the models' tokenizers were trained; names and groups are those of llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_REST}"
)
_QWEN2 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_REST}"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_REST}"
)

_GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_REST}"
)
_DEEPSEEK_V3 = (
    r"\p{N}{1,3}",
    r"[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+",
    (
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_REST}"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitting:
    """One way to cut. Without a pattern, GPT-2's way is used."""

    pattern: str | None = None
    more_patterns: tuple[
        str, ...
    ] = ()  # what is left between words of the one before is cut by the next
    is_digits_apart: bool = False  # each digit is a word; digits are cut first
    is_normalized: bool = False  # normalised to Unicode's form NFC
    whole_words: bool = False  # a word that is a token is not cut, whatever the merges say
    add_begin: bool = False  # holds if the file does not say

    def pre_tokenizer(self) -> Any:
        """The pre-tokenizer for the `tokenizers` library."""
        from tokenizers import Regex, pre_tokenizers

        if self.pattern is None:
            steps: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
            if self.is_digits_apart:
                steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
        else:
            steps = [
                *(
                    pre_tokenizers.Split(Regex(pattern), behavior="isolated")
                    for pattern in (self.pattern, *self.more_patterns)
                ),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        return pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]


_GPT2 = Splitting()
_DIGITS = Splitting(is_digits_apart=True)
_LLAMA3_LIKE = Splitting(pattern=_LLAMA3, whole_words=True, add_begin=True)
_QWEN2_LIKE = Splitting(pattern=_QWEN2, is_normalized=True)

SPLITTINGS: dict[str, Splitting] = {
    **dict.fromkeys(("default", "gpt-2", "mpt", "olmo", "jais"), _GPT2),
    **dict.fromkeys(("smollm", "starcoder", "refact", "codeshell", "command-r"), _DIGITS),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"), _LLAMA3_LIKE),
    **dict.fromkeys(("smaug-bpe", "dbrx"), Splitting(pattern=_LLAMA3)),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez"), _QWEN2_LIKE),
    **dict.fromkeys(("gpt-4o", "llama4"), Splitting(pattern=_GPT4O)),
    "deepseek-v3": Splitting(pattern=_DEEPSEEK_V3[0], more_patterns=_DEEPSEEK_V3[1:]),
    "tekken": Splitting(pattern=_TEKKEN, whole_words=True, add_begin=True),
}
