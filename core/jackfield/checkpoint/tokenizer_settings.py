"""Settings in the files beside tokenizer.json, read as Transformers 5 reads them."""

from __future__ import annotations

from typing import Any

from jackfield.checkpoint.chat_template import DEFAULT, read_sources
from jackfield.checkpoint.generation import FILE as GENERATION
from jackfield.checkpoint.json_file import read_json
from jackfield.errors import CheckpointError
from jackfield.interfaces.model_source import ModelFiles

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
TEMPLATE = "chat_template.jinja"
TEMPLATE_JSON = "chat_template.json"  # older multi-modal models have it
TEMPLATES = "additional_chat_templates/*.jinja"
_EXTRA = ("extra_special_tokens", "additional_special_tokens")  # the newer key first
# Classes that use tokenizer.json unchanged.
_BY_FILE = ("PreTrainedTokenizer", "TokenizersBackend", "PythonBackend")
_NAMED = "model_specific_special_tokens"
_TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


class TokenizerSettings:
    """The content of tokenizer_config.json and special_tokens_map.json, and what follows from them."""

    def __init__(self, files: ModelFiles) -> None:
        self._files = files
        self.values = _read(files, TOKENIZER_CONFIG)
        # In older files the special tokens stand in a file of their own.
        if "added_tokens_decoder" not in self.values:
            self.values |= _read(files, SPECIAL_TOKENS)
        self.class_name = str(self._class() or "").removesuffix("Fast")
        self.roles = _roles(self.values)

    @property
    def is_llama(self) -> bool:
        """True for tokenizers like Llama 2's, whose class cuts text in its own way whatever tokenizer.json says."""
        kind = _read(self._files, CONFIG).get("model_type") or "llama"
        return self.class_name == "LlamaTokenizer" and kind == "llama"

    @property
    def is_class_of_its_own(self) -> bool:
        """True if Transformers builds the tokenizer by its class, and not from tokenizer.json alone."""
        return self.class_name not in ("", "LlamaTokenizer", *_BY_FILE)

    def template_sources(self) -> dict[str, str]:
        """All chat templates by name. Files of their own count before those in tokenizer_config.json."""
        sources = read_sources(self.values.get("chat_template"))
        if older := self._files.find(TEMPLATE_JSON):
            sources |= read_sources(read_json(older).get("chat_template"))
        for path in self._files.glob(TEMPLATES) if self._files.path.is_dir() else ():
            sources[path.stem] = _read_text(path)
        if template := self._files.find(TEMPLATE):
            sources[DEFAULT] = _read_text(template)
        return sources

    def add_tokens(self, backend: Any) -> None:
        """Add the special tokens that `backend` lacks.

        Settings for tokens around a text (add_bos_token, add_eos_token) are ignored: tokenizer.json decides that.
        """
        from tokenizers import AddedToken  # noqa: PLC0415  # heavy

        known = {token.content for token in backend.get_added_tokens_decoder().values()}
        listed = self.values.get("added_tokens_decoder") or {}
        for _, entry in sorted(listed.items(), key=lambda item: int(item[0])):
            flags = {k: bool(v) for k, v in entry.items() if k in _TOKEN_FLAGS}
            if entry["content"] not in known:
                backend.add_tokens([AddedToken(entry["content"], **flags)])
                known.add(entry["content"])
        extra = next(filter(None, map(self.values.get, _EXTRA)), ())
        extra = extra.values() if isinstance(extra, dict) else extra
        for token in (*self.roles.values(), *map(_content, extra)):
            if token not in known:
                backend.add_special_tokens([AddedToken(token, special=True, normalized=False)])
                known.add(token)

    def end_token_ids(self, backend: Any) -> list[int]:
        """The ids in generation_config.json (one or a list), then the tokenizer's own."""
        end = self.roles.get("eos_token")
        own = backend.token_to_id(end) if end else None
        listed = _read(self._files, GENERATION).get("eos_token_id")
        ids = listed if isinstance(listed, list) else [listed]
        return [int(i) for i in (*ids, own) if i is not None]

    def _class(self) -> Any:
        return self.values.get("tokenizer_class") or _read(self._files, CONFIG).get(
            "tokenizer_class"
        )


def _read(files: ModelFiles, name: str) -> dict[str, Any]:
    path = files.find(name)
    return read_json(path) if path else {}


def _read_text(path: Any) -> str:
    try:
        return str(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"cannot read {path}: {error}; a chat template in UTF-8 is needed. Download it again"
        ) from error


def _roles(values: dict[str, Any]) -> dict[str, str]:
    """Special tokens by their names in templates: `bos_token`, `image_token`, ..."""
    tables = [values[key] for key in (*_EXTRA, _NAMED) if isinstance(values.get(key), dict)]
    own = {name: token for table in tables for name, token in table.items()}
    listed = {name: token for name, token in values.items() if name.endswith("_token")}
    found = {name: token for name, token in {**listed, **own}.items() if _is_token(token)}
    return {name: _content(token) for name, token in found.items()}


def _is_token(value: Any) -> bool:
    return (isinstance(value, str) and bool(value)) or (
        isinstance(value, dict) and "content" in value
    )


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)
