"""Texts, conversations and token ids: the use of the model's tokenizer in the server's process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from jackfield.discovery.loading import FAULTS
from jackfield.engine.prompt_checks import check_text_length, encode_end
from jackfield.errors import ConfigError, EngineError, RequestError
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.sampling import SamplingParams
from jackfield.text.output_text import OutputText
from jackfield.text.pieces import Pieces
from jackfield_openai_server.engine.messages import Chosen
from jackfield_openai_server.engine.stream import MakeText
from jackfield_openai_server.template_process import TemplateProcess, open_tokenizer
from jackfield_openai_server.time_limit import OutOfTime, time_limit

T = TypeVar("T")
_LONG = 1 << 18  # characters, or tokens, from which on a text counts as long


class TextService:
    """Encodes on threads of its own, so that no prompt delays a stream: short texts on one thread, long ones on another."""

    def __init__(
        self, chosen: Chosen, template_file: str | None = None, template_timeout_s: float = 5.0
    ) -> None:
        self._timeout_s = template_timeout_s
        self._missing = chosen.missing_tokenizer
        self._tokenizer = open_tokenizer(chosen)
        self._pieces = None if self._tokenizer is None else Pieces(self._tokenizer)
        self._template = None if template_file is None else _read(template_file)
        self._thread = ThreadPoolExecutor(1, "jackfield-text")
        self._long_thread = ThreadPoolExecutor(1, "jackfield-long-text")
        # Templates of clients.
        self._templates = TemplateProcess(chosen, template_timeout_s)
        self._template_thread = ThreadPoolExecutor(1, "jackfield-template")

    @property
    def has_tokenizer(self) -> bool:
        """False if prompts must be token ids."""
        return self._tokenizer is not None

    async def encode(
        self,
        text: str,
        *,
        add_special_tokens: bool = True,
        max_length: int | None = None,
        last: int | None = None,
    ) -> list[int]:
        """The token ids of a text; only the `last` ones, if that is given.

        Raises RequestError if the text has far more than `max_length` tokens, before all of it is encoded.
        """

        def encode(tokenizer: Tokenizer) -> list[int]:
            encode = partial(tokenizer.encode, add_special_tokens=add_special_tokens)
            if last is not None:
                return encode_end(encode, text, last)
            if max_length is not None:
                check_text_length(encode, text, max_length)
            return encode(text)

        return await self._run(encode, len(text))

    async def encode_pair(
        self, first: str, second: str, max_length: int
    ) -> tuple[list[int], int | None]:
        """The token ids of two texts that are read together, and the index of the second. Raises as `encode`."""

        def encode(tokenizer: Tokenizer) -> tuple[list[int], int | None]:
            for text in (first, second):
                check_text_length(tokenizer.encode, text, max_length)
            return tokenizer.encode_pair(first, second)

        return await self._run(encode, len(first) + len(second))

    async def render(self, messages: Sequence[Mapping[str, Any]], values: dict[str, Any]) -> str:
        """The prompt of a conversation, made with the chat template: the model's, the server's, or that of `values`."""
        if "chat_template" in values:
            return await self._run(
                lambda _: self._templates.render(messages, values), thread=self._template_thread
            )
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
        """The text of token ids, including special ones."""
        return await self._run(
            lambda tokenizer: tokenizer.decode(token_ids, skip_special_tokens=False), len(token_ids)
        )

    def token(self, token_id: int) -> str:
        """The text of one token. Use it only in the event loop."""
        if self._tokenizer is None:
            return f"token_id:{token_id}"
        return self._tokenizer.decode([token_id], skip_special_tokens=False)

    def maker(self, prompt: Sequence[int], sampling: SamplingParams) -> MakeText:
        """Makes the texts of the outputs of one request. Use it only in the event loop."""
        tokenizer, pieces = self._tokenizer, self._pieces
        if tokenizer is None or pieces is None:
            return lambda: None
        return lambda: OutputText(tokenizer, prompt, sampling, pieces)

    @property
    def end_token(self) -> str | None:
        """The text of the first token that ends an answer; None if the tokenizer has none."""
        ids = () if self._tokenizer is None else self._tokenizer.end_token_ids
        return self.token(ids[0]) if ids else None

    @property
    def template(self) -> str:
        """The source of the chat template; empty if there is none."""
        own = None if self._tokenizer is None else self._tokenizer.chat_template
        return self._template or own or ""

    async def _run(
        self,
        call: Callable[[Tokenizer], T],
        size: int = 0,
        thread: ThreadPoolExecutor | None = None,
    ) -> T:
        """The result of a call, on a thread by the `size` of its input (characters or tokens) unless one is given."""
        tokenizer = self._tokenizer
        if tokenizer is None:
            raise RequestError(
                f"a text prompt needs a tokenizer, and there is none ({self._missing}). Give token ids, or name a "
                "model that has a tokenizer with model.tokenizer"
            )
        loop = asyncio.get_running_loop()
        thread = thread or (self._thread if size < _LONG else self._long_thread)
        try:
            return await loop.run_in_executor(thread, call, tokenizer)
        except (RequestError, EngineError):
            raise
        except FAULTS as error:
            text = f"the tokenizer cannot do this: {type(error).__name__}: {error}"
            raise RequestError(text) from error

    def close(self) -> None:
        """End the threads, and the process of templates."""
        for thread in (self._thread, self._long_thread):
            thread.shutdown(wait=False, cancel_futures=True)
        self._templates.stop()
        self._template_thread.submit(self._templates.close)
        self._template_thread.shutdown(wait=False)


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"options.serve.chat_template = {file}: {error}") from None
