"""Which decoders of the `tokenizers` library do no more than join the texts of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer as Backend


def joins_texts(backend: Backend) -> bool:
    """True if a token adds the same text behind each finished text.

    So do byte-level decoders (Radford et al. 2019) and those of SentencePiece: single characters are replaced, bytes
    that follow each other are read as UTF-8, and the front of the whole text may be stripped. Decoders that clean up
    spaces or drop repetitions look at neighbours.
    """
    try:
        state = json.loads(backend.decoder.__getstate__())
    except Exception:  # none, or one written in Python; the library raises a bare Exception
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
