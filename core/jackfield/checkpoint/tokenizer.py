"""Tokenizers as hubs lay them out: tokenizer.json, and the files around it that say how it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jackfield.checkpoint.chat_template import DEFAULT, ChatTemplate, read_sources
from jackfield.checkpoint.json_file import read_json
from jackfield.decision import Reason
from jackfield.errors import CheckpointError, ModelError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
GENERATION_CONFIG = "generation_config.json"
TEMPLATE = "chat_template.jinja"
TEMPLATE_JSON = "chat_template.json"  # of older multi-modal models
_ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


class HfTokenizerFormat(TokenizerFormat):
    """Opens folders with a tokenizer.json."""

    def check(self, need: ModelFiles, facts: Facts) -> tuple[Reason, ...]:
        """Refuse what has no tokenizer.json."""
        if need.find(TOKENIZER):
            return ()
        return (Reason("no_tokenizer", f"{need.path} holds no {TOKENIZER}", "add the model's"),)

    def open(self, files: ModelFiles) -> Tokenizer:
        """Load the tokenizer, its special tokens, its chat template and the ids that end a generation."""
        from jackfield.checkpoint.fast_tokenizer import FastTokenizer  # noqa: PLC0415  # heavy

        path = files.find(TOKENIZER)
        if path is None:
            raise ModelError(
                f"no tokenizer in {files.path}: looked for {TOKENIZER} (and beside it "
                f"{TOKENIZER_CONFIG}, {SPECIAL_TOKENS}, {GENERATION_CONFIG}, {TEMPLATE}). "
                "Add the model's tokenizer.json, or name another tokenizer with model.tokenizer"
            )
        settings = _Settings(files)
        backend = _read_backend(path)
        settings.apply(backend)
        sources = _template_sources(files, settings.values)
        end = settings.roles.get("eos_token")
        return FastTokenizer(
            backend,
            end_token_ids=_end_token_ids(files, backend.token_to_id(end) if end else None),
            chat_template=ChatTemplate(sources, settings.roles) if sources else None,
        )


class _Settings:
    """What tokenizer_config.json and special_tokens_map.json add to tokenizer.json."""

    def __init__(self, files: ModelFiles) -> None:
        config, special = files.find(TOKENIZER_CONFIG), files.find(SPECIAL_TOKENS)
        self.values: dict[str, Any] = {
            **(read_json(special) if special else {}),
            **(read_json(config) if config else {}),
        }
        self.roles: dict[str, str] = {
            role: _content(self.values[role]) for role in _ROLES if self.values.get(role)
        }

    def apply(self, backend: Any) -> None:
        """Add the special tokens that `backend` lacks.

        What stands around a text (add_bos_token, add_eos_token) is passed over: tokenizer.json has the final word.
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


_EXTRA = ("extra_special_tokens", "additional_special_tokens")  # the newer key first
_TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _read_backend(path: Path) -> Any:
    from tokenizers import Tokenizer as Backend  # noqa: PLC0415  # heavy

    try:
        return Backend.from_file(str(path))
    except Exception as error:  # the library raises a bare Exception
        raise CheckpointError(
            f"cannot read the tokenizer {path}: {error}; it must be a file of the tokenizers "
            "library. Download it again"
        ) from error


def _template_sources(files: ModelFiles, values: dict[str, Any]) -> dict[str, str]:
    template, older = files.find(TEMPLATE), files.find(TEMPLATE_JSON)
    if template:
        return {DEFAULT: template.read_text(encoding="utf-8")}
    if older:
        return read_sources(read_json(older).get("chat_template"))
    return read_sources(values.get("chat_template"))


def _end_token_ids(files: ModelFiles, own: int | None) -> list[int]:
    """Those of generation_config.json (one or a list), then the tokenizer's own."""
    path = files.find(GENERATION_CONFIG)
    listed = read_json(path).get("eos_token_id") if path else None
    ids = listed if isinstance(listed, list) else [listed]
    return [int(i) for i in (*ids, own) if i is not None]
