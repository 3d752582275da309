"""How text is cut by a vocabulary that does not say so: files from before tokenizer.ggml.pre was written.

A token is made of one word: merges never cross the cuts between words. So the way in which a vocabulary was trained cuts
none of its tokens, and other ways cut many: Llama 3's leaves three digits together, GPT-2's any number, Qwen's none.
"""

from __future__ import annotations

from collections.abc import Sequence

from jackfield_gguf.splitting import SPLITTINGS

# Names for distinct ways, the stricter ones first: where the tokens allow several, the strictest is the likeliest.
_CANDIDATES = ("qwen2", "llama-bpe", "tekken", "smollm", "gpt-2")


def likely_splitting(words: Sequence[str]) -> str:
    """The name in SPLITTINGS by which the fewest of `words`, tokens as the texts that they stand for, are cut."""
    return min(_CANDIDATES, key=lambda name: _num_cut(name, words))


def _num_cut(name: str, words: Sequence[str]) -> int:
    cut = SPLITTINGS[name].pre_tokenizer().pre_tokenize_str
    return sum(len(cut(word)) > 1 for word in words)
