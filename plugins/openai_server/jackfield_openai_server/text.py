"""Texts, conversations and token ids: what the server's process does with the model's tokenizer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from jackfield.activation import PluginRef
from jackfield.discovery.loading import FAULTS, load_target
from jackfield.errors import ConfigError, RequestError
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat
from jackfield.sampling import SamplingParams
from jackfield.text.output_text import OutputText
from jackfield.text.pieces import Pieces
from jackfield_openai_server.engine.messages import Chosen
from jackfield_openai_server.engine.stream import MakeText
from jackfield_openai_server.time_limit import OutOfTime, time_limit

T = TypeVar("T")


class TextService:
    """Encodes on a thread of its own, one text at a time, so that a long prompt holds up no stream."""

    def __init__(
        self, chosen: Chosen, template_file: str | None = None, template_timeout_s: float = 5.0
    ) -> None:
        self._timeout_s = template_timeout_s
        self._missing = chosen.missing_tokenizer
        self._encoder = _open(chosen)
        self._decoder = _open(chosen)  # a tokenizer is used from one thread at a time
        self._pieces = None if self._decoder is None else Pieces(self._decoder)
        self._template = None if template_file is None else _read(template_file)
        self._thread = ThreadPoolExecutor(1, "jackfield-text")

    @property
    def has_tokenizer(self) -> bool:
        """False if prompts must be token ids."""
        return self._encoder is not None

    async def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The token ids of a text."""
        return await self._run(
            lambda tokenizer: tokenizer.encode(text, add_special_tokens=add_special_tokens)
        )

    async def encode_pair(self, first: str, second: str) -> tuple[list[int], int | None]:
        """The token ids of two texts that are read together, and where the second begins."""
        return await self._run(lambda tokenizer: tokenizer.encode_pair(first, second))

    async def render(self, messages: Sequence[Mapping[str, Any]], values: dict[str, Any]) -> str:
        """The prompt of a conversation, as the chat template writes it."""
        if self._template is not None:
            values = {"chat_template": self._template, **values}
        return await self._run(lambda tokenizer: self._rendered(tokenizer, messages, values))

    def _rendered(
        self, tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]], values: dict[str, Any]
    ) -> str:
        try:
            with time_limit(self._timeout_s):
                return tokenizer.apply_chat_template(messages, **values)
        except OutOfTime:
            raise RequestError(
                f"the chat template takes longer than {self._timeout_s:g} s (options.serve.template_timeout_s)"
            ) from None

    async def decode(self, token_ids: Sequence[int]) -> str:
        """The text of token ids, special ones included."""
        return await self._run(
            lambda tokenizer: tokenizer.decode(token_ids, skip_special_tokens=False)
        )

    def token(self, token_id: int) -> str:
        """The text of one token; used in the event loop only."""
        if self._decoder is None:
            return f"token_id:{token_id}"
        return self._decoder.decode([token_id], skip_special_tokens=False)

    def maker(self, prompt: Sequence[int], sampling: SamplingParams) -> MakeText:
        """Makes the texts of the outputs of one request; used in the event loop only."""
        decoder, pieces = self._decoder, self._pieces
        if decoder is None or pieces is None:
            return lambda: None
        return lambda: OutputText(decoder, prompt, sampling, pieces)

    @property
    def template(self) -> str:
        """The source of the chat template; empty if there is none."""
        own = None if self._encoder is None else self._encoder.chat_template
        return self._template or own or ""

    async def _run(self, call: Callable[[Tokenizer], T]) -> T:
        tokenizer = self._encoder
        if tokenizer is None:
            raise RequestError(
                f"a text prompt needs a tokenizer, and there is none ({self._missing}). Give token ids, or name a "
                "model that has a tokenizer with model.tokenizer"
            )
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, call, tokenizer)
        except RequestError:
            raise
        except FAULTS as error:
            text = f"the tokenizer cannot do this: {type(error).__name__}: {error}"
            raise RequestError(text) from error

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _open(chosen: Chosen) -> Tokenizer | None:
    if chosen.tokenizer_plugin is None:
        return None
    card: TokenizerFormat = load_target(PluginRef(**chosen.tokenizer_plugin))
    path = Path(chosen.tokenizer_path)
    return card.open(ModelFiles(reference=chosen.tokenizer_reference, path=path))


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"options.serve.chat_template = {file}: {error}") from None
