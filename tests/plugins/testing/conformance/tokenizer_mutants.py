"""Tokenizers with one planted fault each."""

import json
import re
import threading
import time
import unicodedata

from jackfield.decision import Reason
from jackfield.errors import ModelError, RequestError
from jackfield.interfaces.tokenizer import TokenizerFormat
from jackfield_testing.tokenizer import ByteTokenizer

START = 257


class Sound(ByteTokenizer):
    def encode(self, text, *, add_special_tokens=True):
        try:
            ids = super().encode(text)
        except UnicodeEncodeError as error:
            raise RequestError(str(error)) from error
        return [START, *ids] if add_special_tokens else ids

    def apply_chat_template(self, messages, **values):
        try:
            return super().apply_chat_template(messages, **values)
        except KeyError as error:
            raise RequestError(f"a message lacks {error}") from error


class Folding(Sound):
    def encode(self, text, *, add_special_tokens=True):
        text = unicodedata.normalize("NFC", text)
        return super().encode(text, add_special_tokens=add_special_tokens)


class Questioning(Sound):
    """Shows a question mark where a character is not whole yet."""

    def decode(self, token_ids, *, skip_special_tokens=True):
        text = super().decode(token_ids, skip_special_tokens=skip_special_tokens)
        return text.replace("\ufffd", "?")


class Singly(Sound):
    """Forgets that a character may take several tokens, once there are few."""

    def decode(self, token_ids, *, skip_special_tokens=True):
        if len(token_ids) > 20:
            return super().decode(token_ids, skip_special_tokens=skip_special_tokens)
        decode = super().decode
        return "".join(decode([i], skip_special_tokens=skip_special_tokens) for i in token_ids)


class Dropping(Sound):
    def decode(self, token_ids, *, skip_special_tokens=True):
        text = super().decode(token_ids, skip_special_tokens=skip_special_tokens)
        return text.replace("\ufffd", "")


class Shy(Sound):
    def decode(self, token_ids, *, skip_special_tokens=True):
        return super().decode(token_ids, skip_special_tokens=True)


class Wary(ByteTokenizer):
    """Lets the error of the codec out."""


class Remembering(Sound):
    seen = 0

    def encode(self, text, *, add_special_tokens=True):
        self.seen += 1
        ids = super().encode(text, add_special_tokens=add_special_tokens)
        return [*ids, START] if self.seen % 2 and add_special_tokens else ids


class Settled(Sound):
    def __init__(self):
        self._home = threading.get_ident()

    def encode(self, text, *, add_special_tokens=True):
        if threading.get_ident() != self._home:
            raise RuntimeError("called from another thread")
        return super().encode(text, add_special_tokens=add_special_tokens)


class Blunt(Sound):
    def apply_chat_template(self, messages, **values):
        return messages[0]["content"]


class Permuted(Sound):
    """All bytes have other ids: text comes back, and the model reads nonsense."""

    def encode(self, text, *, add_special_tokens=True):
        ids = super().encode(text, add_special_tokens=add_special_tokens)
        return [255 - i if i < 256 else i for i in ids]

    def decode(self, token_ids, *, skip_special_tokens=True):
        ids = [255 - i if i < 256 else i for i in token_ids]
        return super().decode(ids, skip_special_tokens=skip_special_tokens)


class TwiceStart(Sound):
    def encode(self, text, *, add_special_tokens=True):
        ids = super().encode(text, add_special_tokens=False)
        return [START, START, *ids] if add_special_tokens else ids


class WrongEnd(Sound):
    end_token_ids = (START,)


class Stripping(Sound):
    """Drops control characters."""

    def encode(self, text, *, add_special_tokens=True):
        text = re.sub(r"[\x00-\x08\x0e-\x1f\x7f]", "", text)
        return super().encode(text, add_special_tokens=add_special_tokens)


class Racing(Sound):
    """One buffer for all instances."""

    buffer: list[int] = []  # noqa: RUF012

    def encode(self, text, *, add_special_tokens=True):
        Racing.buffer = super().encode(text, add_special_tokens=add_special_tokens)
        time.sleep(0)
        return list(Racing.buffer)


class Neighbour(Sound):
    """Its pieces are those of the next id."""

    def piece(self, token_id):
        return super().piece(token_id + 1)


class Format(TokenizerFormat):
    opened = Sound

    def check(self, need, facts):
        return () if need.find("tokenizer.json") else (Reason("files", "no tokenizer.json"),)

    def open(self, files):
        try:
            json.loads((files.path / "tokenizer.json").read_text())
        except (OSError, ValueError) as error:
            raise ModelError(f"cannot read the tokenizer in {files.path}: {error}") from error
        return self.opened()


class TakesAll(Format):
    def check(self, need, facts):
        return ()


class RawError(Format):
    def open(self, files):
        json.loads((files.path / "tokenizer.json").read_text())
        return super().open(files)


def __getattr__(name):
    """NAMEFormat: the format that opens with the class NAME."""
    opened = globals().get(name.removesuffix("Format"))
    if not name.endswith("Format") or opened is None:
        raise AttributeError(name)
    return type(name, (Format,), {"opened": opened, "__module__": __name__})
