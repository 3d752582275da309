"""Tokenizers in the layout of model hubs: tokenizer.json, and files beside it with settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jackfield.checkpoint import tokenizer_settings as names
from jackfield.checkpoint.chat_template import ChatTemplate
from jackfield.checkpoint.generation import FILE as GENERATION
from jackfield.checkpoint.tokenizer_settings import TokenizerSettings
from jackfield.decision import Reason
from jackfield.errors import CheckpointError, ModelError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat

TOKENIZER = "tokenizer.json"
_SENTENCEPIECE = "tokenizer.model"


class HfTokenizerFormat(TokenizerFormat):
    """Opens folders with a tokenizer.json."""

    def check(self, need: ModelFiles, facts: Facts) -> tuple[Reason, ...]:
        """Refuse folders without tokenizer.json."""
        if need.find(TOKENIZER):
            return ()
        remedy = "add the model's"
        if need.find(_SENTENCEPIECE):
            remedy = (
                f'convert {_SENTENCEPIECE}: python -c "from transformers import AutoTokenizer as T; '
                f"T.from_pretrained('{need.path}').save_pretrained('{need.path}')\""
            )
        return (Reason("no_tokenizer", f"{need.path} holds no {TOKENIZER}", remedy),)

    def open(self, files: ModelFiles) -> Tokenizer:
        """Load the tokenizer, its special tokens, its chat templates and the ids that end a generation."""
        from jackfield.checkpoint.fast_tokenizer import FastTokenizer  # noqa: PLC0415  # heavy

        path = files.find(TOKENIZER)
        if path is None:
            raise ModelError(
                f"no tokenizer in {files.path}: looked for {TOKENIZER} (and beside it "
                f"{names.TOKENIZER_CONFIG}, {names.SPECIAL_TOKENS}, {GENERATION}, "
                f"{names.TEMPLATE}). Add the model's tokenizer.json, or name another tokenizer with "
                "model.tokenizer"
            )
        settings = TokenizerSettings(files)
        backend = _read_backend(path)
        if settings.is_llama:
            _cut_as_llama(backend, settings.values)
        elif settings.values.get("add_prefix_space") and settings.is_class_of_its_own:
            backend = _with_space(backend)
        settings.add_tokens(backend)
        sources = settings.template_sources()
        return FastTokenizer(
            backend,
            end_token_ids=settings.end_token_ids(backend),
            chat_template=ChatTemplate(sources, settings.roles) if sources else None,
        )


def _read_backend(path: Path) -> Any:
    from tokenizers import Tokenizer as Backend  # noqa: PLC0415  # heavy

    try:
        return Backend.from_file(str(path))
    except Exception as error:  # the library raises a bare Exception
        raise CheckpointError(
            f"cannot read the tokenizer {path}: {error}; it must be a file of the tokenizers "
            "library. Download it again"
        ) from error


def _with_space(backend: Any) -> Any:
    """The tokenizer, changed to put a space before each text, if its class does so, as for GPT-2."""
    content = json.loads(backend.to_str())
    outer = content.get("pre_tokenizer") or {}
    for step in (outer, *outer.get("pretokenizers", ())):
        if step.get("type") == "ByteLevel":
            step["add_prefix_space"] = True
    return type(backend).from_str(json.dumps(content))


def _cut_as_llama(backend: Any, values: dict[str, Any]) -> None:
    """Cut text as LlamaTokenizer of Transformers 5 does, whatever was once saved in tokenizer.json.

    A space is put before a text, and with `legacy` before each part between special tokens.
    """
    from tokenizers import decoders, models, pre_tokenizers  # noqa: PLC0415  # heavy

    is_byte_level = any(
        "ByteLevel" in repr(part) for part in (backend.pre_tokenizer, backend.decoder)
    )
    if is_byte_level or not isinstance(backend.model, models.BPE):
        return  # the class name is wrong, as for Llama 3
    prefix = values.get("add_prefix_space")
    scheme = "never" if prefix is False else "always" if values.get("legacy") else "first"
    backend.normalizer = None
    backend.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme, split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if scheme != "never":
        steps.append(decoders.Strip(content=" ", left=1))
    backend.decoder = decoders.Sequence(steps)
    backend.model.fuse_unk = backend.model.byte_fallback = True
