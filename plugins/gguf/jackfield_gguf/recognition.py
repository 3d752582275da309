"""Recognises how a vocabulary cuts text, for files that were written before tokenizer.ggml.pre.

A token is part of one word: merges never cross the cuts between words. So the cuts with which a vocabulary was
trained cut none of its tokens, and other cuts cut many: Llama 3 keeps three digits together, GPT-2 any number, Qwen
none.
"""

from __future__ import annotations

from collections.abc import Sequence

from jackfield_gguf.splitting import SPLITTINGS

# Names of distinct ways, stricter ones first: if the tokens allow several, the strictest is the most likely.
_CANDIDATES = ("qwen2", "llama-bpe", "tekken", "smollm", "gpt-2")


def likely_splitting(words: Sequence[str]) -> str:
    """The name in SPLITTINGS that cuts the fewest of `words`, which are tokens as texts."""
    return min(_CANDIDATES, key=lambda name: _num_cut(name, words))


def _num_cut(name: str, words: Sequence[str]) -> int:
    cut = SPLITTINGS[name].pre_tokenizer().pre_tokenize_str
    return sum(len(cut(word)) > 1 for word in words)
