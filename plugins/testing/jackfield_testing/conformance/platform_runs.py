"""The code that tests of platforms share: an engine on a tiny model, its answers, and access to its workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jackfield.client import LLM
from jackfield.features import features_in_use
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.worker import Worker, WorkerContext
from jackfield.request import CompletionOutput
from jackfield.sampling import SamplingParams
from jackfield.step import TokenLogprobs
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.tokenizer import VOCAB_SIZE

GREEDY = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
RANDOM = SamplingParams(max_tokens=12, temperature=0.9, seed=7, ignore_eos=True)
LOGPROB_ERROR = 1e-3  # of float32 sums over another batch; a real fault causes a far larger error
MAX_BLOCKS = 32  # blocks of the longest request of the kit's model
_BLOCK_SIZE = 4  # small, so that short requests fill several
_SETTLE_S = 5.0

Change = Callable[[Worker], object]
"""What a test does to a worker that was just made."""


class PlatformRuns(CardKit):
    """Opens engines. `PlatformKit` gives the model."""

    dtype: ClassVar[str] = "float32"
    # "section.key" of every engine, applied after the kit's own.
    settings: ClassVar[Mapping[str, Any]] = {}

    def open(self, folder: Path, settings: Mapping[str, Any] | None = None) -> LLM:
        """An engine on this platform, in this process."""
        raise NotImplementedError

    @property
    def block_size(self) -> int:
        """Tokens of a block. The lengths of prompts are multiples of it."""
        return int(self.settings.get("cache.block_size", _BLOCK_SIZE))

    @property
    def prompts(self) -> tuple[list[int], ...]:
        """Long and short prompts. Two share their beginning, and an answer to each needs another block."""
        size = self.block_size
        return ([1, 2, 3], _text(12 * size + 2), [5], _text(10 * size))

    def change_workers(
        self, patch: pytest.MonkeyPatch, card: type[Platform], change: Change
    ) -> list[bool]:
        """Call `change` for every worker that the platform makes here from now on. The list gets a True for each."""
        create, changed = card.create_worker, list[bool]()

        def create_and_change(self: Platform, context: WorkerContext) -> Worker:
            worker = create(self, context)
            change(worker)
            changed.append(True)
            return worker

        patch.setattr(card, "create_worker", create_and_change)
        return changed

    def require_sampling(self, params: SamplingParams) -> None:
        """Skip the test if the platform's card does not declare the features of `params`."""
        features = self.load().features
        missing = sorted(features_in_use(params) - features)
        if missing and "*" not in features:
            pytest.skip(f"does not serve {', '.join(missing)}")

    def require_reached(self, changed: Sequence[bool]) -> None:
        """Skip the test if workers were made in another process, where the kit cannot change them."""
        if not changed:
            self.not_shown("its workers run in another process, into which the kit cannot reach")


def _text(num_tokens: int) -> list[int]:
    return [40 + place % 200 for place in range(num_tokens)]


def answer(llm: LLM, prompts: Sequence[list[int]], params: SamplingParams) -> list[list[int]]:
    """The tokens of each prompt's first output."""
    return [list(output.outputs[0].token_ids) for output in llm.generate([*prompts], params)]


def check_answers(
    found: Sequence[list[int]],
    expected: Sequence[list[int]],
    prompts: Sequence[list[int]],
    settings: Mapping[str, Any],
) -> None:
    """Fail with the first prompt and token that differ."""
    for number, (mine, right) in enumerate(zip(found, expected, strict=True)):
        if mine == right:
            continue
        pairs = enumerate(zip(mine, right, strict=False))
        place = next((place for place, (a, b) in pairs if a != b), min(len(mine), len(right)))
        pytest.fail(
            f"prompt {number} ({len(prompts[number])} tokens) is answered otherwise from output token {place} on: "
            f"{mine[place : place + 4]}, not {right[place : place + 4]}; settings: {dict(settings)}"
        )


def entries(output: CompletionOutput) -> Sequence[TokenLogprobs]:
    """The log probabilities of an output, which must exist."""
    assert output.logprobs is not None, "no log probabilities came back"
    return output.logprobs


def next_logprobs(llm: LLM, prompt: list[int]) -> dict[int, float]:
    """The distribution of the token after a prompt."""
    params = SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True, logprobs=VOCAB_SIZE)
    (output,) = llm.generate([prompt], params)
    return logprobs(entries(output.outputs[0])[0])


def logprobs(entry: TokenLogprobs) -> dict[int, float]:
    """Log probabilities by token id."""
    return dict(zip(entry.top_ids, entry.top_logprobs, strict=True))


def distance(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """The largest difference of two distributions."""
    return max(abs(one[token_id] - other[token_id]) for token_id in one)


def settled(is_true: Callable[[], bool]) -> bool:
    """True if `is_true` becomes true soon: threads need a moment to end."""
    until = time.monotonic() + _SETTLE_S
    while not is_true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
