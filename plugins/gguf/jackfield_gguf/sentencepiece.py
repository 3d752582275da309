"""Tokenizers like SentencePiece's BPE: a text is a sequence of characters, spaces are "▁", unknown characters are bytes."""

from __future__ import annotations

from typing import Any

from jackfield_gguf.vocabulary import Vocabulary

SPACE = "▁"


def sentencepiece(vocabulary: Vocabulary) -> Any:
    """A tokenizer of the `tokenizers` library, without its special tokens."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    is_gemma = vocabulary.architecture.startswith("gemma")
    tokens = [_spaces(t) for t in vocabulary.tokens] if is_gemma else vocabulary.tokens
    ids = {token: index for index, token in enumerate(tokens)}
    if vocabulary.merges is not None:
        merges = [(left, right) for left, _, right in (m.partition(" ") for m in vocabulary.merges)]
    elif is_gemma:  # its scores do not follow the order of its merges, but its ids do
        merges = merges_by_id(tokens, ids)
    else:
        merges = merges_by_score(tokens, ids, vocabulary.scores)
    unknown = vocabulary.roles.get("unk_token")
    model = models.BPE(ids, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    backend = Tokenizer(model)
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if is_gemma:
        backend.normalizer = normalizers.Replace(" ", SPACE)
    else:
        scheme = "first" if vocabulary.add_space_prefix else "never"
        backend.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme=scheme, split=False)
        if vocabulary.add_space_prefix:
            steps.append(decoders.Strip(content=" ", left=1))
    backend.decoder = decoders.Sequence(steps)
    return backend


def merges_by_id(tokens: list[str], ids: dict[str, int]) -> list[tuple[str, str]]:
    """All ways to join two tokens into a third: lower ids first, then longer left parts."""
    return [  # 1.7 million cuts for Gemma take about a second
        (left, right)
        for token in tokens
        for cut in range(len(token) - 1, 0, -1)
        if (left := token[:cut]) in ids and (right := token[cut:]) in ids
    ]


def merges_by_score(
    tokens: list[str], ids: dict[str, int], scores: list[float]
) -> list[tuple[str, str]]:
    """All ways to join two tokens into a third: higher scores first, then longer parts, then lower ids."""
    score_of = dict(zip(tokens, scores, strict=True))
    merges = merges_by_id(tokens, ids)
    merges.sort(key=lambda pair: (-score_of[pair[0] + pair[1]], -len(pair[0]), -len(pair[1])))
    return merges


def _spaces(token: str) -> str:
    """Gemma's runs of spaces are stored as spaces. Everywhere else a space is written as "▁"."""
    return SPACE * len(token) if token.startswith(" ") and not token.strip(" ") else token
