"""A tokenizer whose tokens are bytes, so that one character can take several tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jackfield.interfaces.tokenizer import Tokenizer

END_TOKEN_ID = 256
# For options.reference.echo_token_id: a prompt that begins with it is answered with its rest.
ECHO_TOKEN_ID = 257
VOCAB_SIZE = 258
_SPECIAL = {END_TOKEN_ID: "<end>", ECHO_TOKEN_ID: "<echo>"}


class ByteTokenizer(Tokenizer):
    """Token ids 0 to 255 are the bytes of the text in UTF-8; 256 ends an answer, 257 asks for an echo."""

    @property
    def vocab_size(self) -> int:
        """Bytes and two special tokens."""
        return VOCAB_SIZE

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """The end token."""
        return (END_TOKEN_ID,)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The bytes of `text`; nothing is added."""
        return list(text.encode())

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of the bytes. Special tokens appear as their names, unless they are skipped."""
        parts = bytearray()
        for token_id in token_ids:
            if token_id < END_TOKEN_ID:
                parts.append(token_id)
            elif not skip_special_tokens:
                parts += _SPECIAL.get(token_id, "").encode()
        return parts.decode(errors="replace")

    def piece(self, token_id: int) -> str | None:
        """The character for ASCII; other bytes are only parts of characters."""
        return chr(token_id) if token_id < 128 else None

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        **values: Any,
    ) -> str:
        """One line for each message, as `role: content`."""
        lines = [f"{message['role']}: {message['content']}" for message in messages]
        return "\n".join([*lines, "assistant:"] if add_generation_prompt else lines)


def write_byte_tokenizer(folder: Path, *, begins: bool = False) -> None:
    """Write the same tokenizer as tokenizer.json and tokenizer_config.json, in the layout of model hubs.

    `begins`: texts with special tokens begin with token 257.
    """
    special = [
        {
            "id": token_id,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token_id, text in _SPECIAL.items()
    ]
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": False,
    }
    tokenizer = {
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": byte_level,
        "post_processor": _begin(ECHO_TOKEN_ID) if begins else None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {letter: byte for byte, letter in enumerate(_letters())},
            "merges": [],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = {"eos_token": _SPECIAL[END_TOKEN_ID], "chat_template": _CHAT_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _begin(token_id: int) -> dict[str, Any]:
    text = _SPECIAL[token_id]
    special = {"SpecialToken": {"id": text, "type_id": 0}}
    whole = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [special, whole],
        "pair": [special, whole, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {text: {"id": text, "ids": [token_id], "tokens": [text]}},
    }


_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def _letters() -> list[str]:
    """The printable character of each byte in byte-level BPE (Radford et al. 2019)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    letters, num_others = [], 0
    for byte in range(256):
        if byte in printable:
            letters.append(chr(byte))
        else:
            letters.append(chr(256 + num_others))
            num_others += 1
    return letters
