"""Finds out whether a decoder of the `tokenizers` library only joins the texts of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer as Backend


def joins_texts(backend: Backend) -> bool:
    """True if a token always adds the same text behind finished text.

    This holds for byte-level decoders (Radford et al. 2019) and for those of SentencePiece: single characters are
    replaced, consecutive bytes are read as UTF-8, and the front of the whole text may be stripped. It does not hold
    for decoders that clean up spaces or drop repetitions, since these look at neighbours.
    """
    try:
        state = json.loads(backend.decoder.__getstate__())
    # There is no decoder, or one written in Python. The library raises a bare Exception.
    except Exception:
        return False
    parts = state["decoders"] if state["type"] == "Sequence" else [state]
    return all(_joins(part) for part in parts)


def _joins(part: Mapping[str, Any]) -> bool:
    match part["type"]:
        case "ByteLevel" | "Metaspace" | "ByteFallback" | "Fuse":
            return True
        case "Replace":
            return len(part["pattern"].get("String", "")) == 1
        case "Strip":
            return bool(part["stop"] == 0)
    return False
