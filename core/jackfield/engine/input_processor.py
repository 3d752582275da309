"""From a user's input to a request that the engine can run. Every mistake of a user is found here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from operator import index
from typing import Any

from jackfield.discovery.loading import FAULTS
from jackfield.engine.adapters import Adapters
from jackfield.engine.bad_words import bad_words_as_ids
from jackfield.engine.grammars import Grammars
from jackfield.engine.processors import Processors
from jackfield.engine.prompt import ChatMessage, Prompt, TextPair, is_chat, plain_prompt
from jackfield.engine.prompt_checks import (
    check_prompt_length,
    check_text_length,
    check_vocabulary,
)
from jackfield.engine.vectors import Vectors
from jackfield.errors import RequestError
from jackfield.features import features_in_use
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.pooling import PoolingParams
from jackfield.request import EngineRequest, PrefixKey
from jackfield.sampling import SamplingParams
from jackfield.scheduler.beam_search import row_sampling

_NO_SAMPLING = SamplingParams(max_tokens=1, temperature=0.0)  # for requests that draw no token


class InputProcessor:
    """Checks and tokenizes prompts, on any thread. If `tokenizer` is None, prompts must be token ids."""

    def __init__(
        self,
        tokenizer: Tokenizer | None,
        *,
        vocab_size: int,
        max_length: int,  # most tokens of one request, prompt and output together
        defaults: Mapping[str, Any]
        | None = None,  # sampling values for fields that a request leaves open
        unscaled_length: int | None = None,  # see `ModelSpec.unscaled_length`
        missing_tokenizer: str = "",  # why there is no tokenizer
        platform: str = "",  # name of the platform, for messages
        features: frozenset[str] = frozenset({"*"}),  # features that the platform declares
        tokenizer_name: str = "the tokenizer",  # with its distribution
        grammars: Grammars | None = None,  # None: structured output is not available
        processors: Processors | None = None,  # processors that requests may name
        adapters: Adapters | None = None,  # adapters that requests may name
        vectors: Vectors | None = None,  # how the model makes vectors and scores; None: not at all
        has_head: bool = True,  # False: the model draws no tokens
    ) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._max_length = max_length
        self._unscaled_length = unscaled_length
        self._defaults = defaults or {}
        self._missing_tokenizer = missing_tokenizer or "the model's files hold none"
        self._platform = platform
        self._features = features
        self._tokenizer_name = tokenizer_name
        self._grammars = grammars or Grammars({}, None)
        self._processors = processors or Processors({})
        self._adapters = adapters or Adapters()
        self.vectors = vectors or Vectors()
        self._has_head = has_head
        self._numbers = count()  # running numbers of requests

    def process(
        self,
        prompt: Prompt,
        sampling: SamplingParams | None = None,
        *,
        request_id: str | None = None,
        priority: int = 0,
        cache_salt: str = "",
        trace_parent: str | None = None,
    ) -> EngineRequest:
        """The checked request for tokens. Raises RequestError. If `request_id` is None, it is a running number."""
        if not self._has_head:
            raise RequestError(
                "this model gives no tokens: it was made for vectors or scores. Use embed(), score() or classify(), or the "
                "commands and endpoints of these names"
            )
        sampling = SamplingParams() if sampling is None else sampling
        sampling = self._with_bad_words(self._completed(sampling))
        self._check_sampling(sampling)
        text, token_ids = self._tokenized(prompt)
        self._check_length(len(token_ids))
        structured = sampling.structured
        assert not isinstance(structured, Mapping), "SamplingParams keeps it as Structured"
        number = next(self._numbers)
        return EngineRequest(
            request_id=str(number) if request_id is None else request_id,
            prompt_token_ids=token_ids,
            sampling=sampling,
            grammar=None if structured is None else self._grammars.compile(structured),
            prompt=text,
            priority=priority,
            prefix_key=PrefixKey(
                salt=cache_salt,
                adapter=self._adapters.key(sampling.adapter),
                is_scaled=self._is_scaled(sampling, token_ids),
            ),
            trace_parent=trace_parent,
        )

    def pool(
        self,
        prompt: Prompt | TextPair,
        pooling: PoolingParams | None = None,
        *,
        prompt_name: str | None = None,
        second_text: int | None = None,
        request_id: str | None = None,
        priority: int = 0,
        cache_salt: str = "",
    ) -> EngineRequest:
        """The checked request for a vector, or for scores. Raises RequestError.

        `prompt_name`: see `Pooling.prompts`. `second_text` is the index in the token ids where the second of two
        texts begins.
        """
        vectors = self.vectors
        pooling = vectors.completed(PoolingParams() if pooling is None else pooling)
        self._refuse_features(vectors.features(pooling), "pooling")
        self._check_vocabulary("token_ids", pooling.token_ids)
        text = None
        if isinstance(prompt, TextPair):
            token_ids, second_text = self._encode_pair(prompt)
        else:
            text, token_ids = self._tokenized(vectors.with_prompt(prompt, prompt_name))
        self._check_length(len(token_ids), has_output=False)
        number = next(self._numbers)
        return EngineRequest(
            request_id=str(number) if request_id is None else request_id,
            prompt_token_ids=token_ids,
            sampling=_NO_SAMPLING,
            pooling=pooling,
            second_text=second_text,
            details={"pooling": vectors.in_words(pooling)},
            prompt=text,
            priority=priority,
            prefix_key=PrefixKey(
                salt=cache_salt, is_scaled=self._is_scaled(_NO_SAMPLING, token_ids)
            ),
        )

    def _encode_pair(self, pair: TextPair) -> tuple[list[int], int | None]:
        tokenizer = self._needed("text")
        second_text: int | None = None

        def encode(first: str, second: str) -> list[int]:
            nonlocal second_text
            token_ids, second_text = tokenizer.encode_pair(first, second)
            return token_ids

        return self._encoded(encode, pair.first, pair.second), second_text

    def chat_prompt(self, messages: Sequence[ChatMessage], **values: Any) -> list[int]:
        """The token ids of a conversation; `values` go to the chat template."""
        return self._encode_chat(messages, **values)[1]

    def _is_scaled(self, sampling: SamplingParams, token_ids: Sequence[int]) -> bool:
        length = self._unscaled_length
        return length is not None and not sampling.computes_within(len(token_ids), length)

    def _tokenized(self, prompt: Prompt) -> tuple[str | None, list[int]]:
        prompt = plain_prompt(prompt)
        if isinstance(prompt, str):
            if not prompt:
                raise _empty()
            tokenizer = self._needed("text")
            return prompt, self._encoded(tokenizer.encode, prompt)
        if is_chat(prompt):
            return self._encode_chat(prompt)
        return None, self._checked_ids(prompt)

    def _encode_chat(self, messages: Sequence[ChatMessage], **values: Any) -> tuple[str, list[int]]:
        tokenizer = self._needed("chat")
        with self._calling("apply the chat template"):
            text = tokenizer.apply_chat_template(messages, **values)
        # The chat template itself writes the special tokens that the model wants.
        return text, self._encoded(partial(tokenizer.encode, add_special_tokens=False), text)

    def _encoded(self, encode: Callable[..., list[int]], *texts: str) -> list[int]:
        """Token ids that are in the vocabulary. A fault of a tokenizer ends only the request that met it."""
        with self._calling("encode the prompt"):
            for text in texts:
                check_text_length(self._needed("text").encode, text, self._max_length)
            found = encode(*texts)
            if not isinstance(found, list):
                raise TypeError(f"encode() must return a list, got {found!r:.200}")
            token_ids = [index(token_id) for token_id in found]
        self._check_vocabulary(f"what {self._tokenizer_name} made of the prompt", token_ids)
        return token_ids

    @contextmanager
    def _calling(self, verb: str) -> Iterator[None]:
        try:
            yield
        except RequestError:
            raise
        except FAULTS as error:
            raise RequestError(
                f"{self._tokenizer_name} cannot {verb}: {type(error).__name__}: {error}"
            ) from error

    def _needed(self, what: str) -> Tokenizer:
        if self._tokenizer is None:
            raise RequestError(
                f"a {what} prompt needs a tokenizer, and there is none ({self._missing_tokenizer}). Give token ids, "
                "or name a model that has a tokenizer with model.tokenizer"
            )
        return self._tokenizer

    def _checked_ids(self, prompt: Iterable[Any]) -> list[int]:
        try:
            token_ids = [index(token_id) for token_id in prompt]
        except TypeError:
            raise RequestError("a prompt of token ids must hold whole numbers only") from None
        if token_ids:
            self._check_vocabulary("the prompt", token_ids)
        return token_ids

    def _check_vocabulary(self, what: str, token_ids: Collection[int]) -> None:
        check_vocabulary(what, token_ids, self._vocab_size)

    def _check_length(self, num_tokens: int, *, has_output: bool = True) -> None:
        if num_tokens == 0:
            raise _empty()
        check_prompt_length(num_tokens, self._max_length, has_output=has_output)

    def _completed(self, sampling: SamplingParams) -> SamplingParams:
        """These parameters, with the wishes of the model's authors for fields that the request left open."""
        if not isinstance(sampling, SamplingParams):
            raise RequestError(
                f"sampling parameters must be a SamplingParams, got {type(sampling).__name__}; "
                "SamplingParams.from_mapping() makes one of names and values"
            )
        return sampling.with_defaults(self._defaults)

    def _with_bad_words(self, sampling: SamplingParams) -> SamplingParams:
        """These parameters with bad words as token ids, which is the form that a worker takes."""
        words = sampling.bad_words
        if not any(isinstance(word, str) for word in words):
            return sampling
        if (tokenizer := self._tokenizer) is None:
            raise RequestError(
                f"texts in bad_words need a tokenizer, and there is none ({self._missing_tokenizer}). Give token ids"
            )
        with self._calling("encode bad_words"):
            return replace(sampling, bad_words=bad_words_as_ids(words, tokenizer))

    def _check_sampling(self, sampling: SamplingParams) -> None:
        self._check_features(sampling)
        self._check_vocabulary("logit_bias", sampling.logit_bias)
        self._processors.check(sampling.logits_processors)
        self._check_vocabulary("stop_token_ids", sampling.stop_token_ids)
        self._check_vocabulary("allowed_token_ids", sampling.allowed_token_ids or ())
        for word in sampling.bad_words:
            self._check_vocabulary("bad_words", [t for t in word if isinstance(t, int)])
        if sampling.stop and self._tokenizer is None:
            raise RequestError(
                f"stop strings need a tokenizer, and there is none ({self._missing_tokenizer}). Use stop_token_ids"
            )
        for name in ("logprobs", "prompt_logprobs"):
            wanted = getattr(sampling, name)
            if wanted is not None and wanted > self._vocab_size:
                raise RequestError(
                    f"{name} asks for {wanted} tokens; the vocabulary has {self._vocab_size}"
                )

    def _check_features(self, sampling: SamplingParams) -> None:
        if sampling.beam_search is not None:
            sampling = row_sampling(sampling, 1)
        self._refuse_features(features_in_use(sampling), "sampling")

    def _refuse_features(self, asked: frozenset[str], word: str) -> None:
        """Raise RequestError for features that the platform does not declare."""
        missing = sorted(asked - self._features)
        if missing and "*" not in self._features:
            names = ", ".join(feature.removeprefix(f"{word}.") for feature in missing)
            raise RequestError(
                f"{names}: not served by {self._platform}, whose card does not declare {', '.join(missing)}. "
                "Leave it at its default, or select another platform"
            )


def _empty() -> RequestError:
    return RequestError("the prompt is empty; give at least one token")
