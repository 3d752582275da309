"""The kit of speculators: guesses of the right shape, made quickly, and equal answers with and without them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jackfield.client import LLM
from jackfield.config import EngineConfig
from jackfield.discovery.kinds import SPECULATORS
from jackfield.interfaces.speculator import Drafter, Speculator, SpeculatorNeed
from jackfield.sampling import SamplingParams
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model
from jackfield_testing.tokenizer import ECHO_TOKEN_ID

_REPEATED = b"to be or not to be, that is the question: to be or not to be, to be or not. "
_GUESS_S = 1e-3  # most time for a guess in a text of 2,000 tokens; an n-gram takes microseconds
_NUM_TIMED = 15  # guesses whose median counts, since a busy machine may delay some


class SpeculatorKit(CardKit):
    """A third party's test file names the entry point: `name = "mine"`."""

    kind = SPECULATORS

    @pytest.fixture
    def needs(self) -> tuple[SpeculatorNeed, ...]:
        """A need of few guesses, and one of many."""
        return (SpeculatorNeed(num_tokens=1), SpeculatorNeed(num_tokens=64))

    @pytest.fixture
    def make_drafter(self, card: Speculator) -> Callable[[], Drafter]:
        """Drafters of an engine without options."""
        return card.create(EngineConfig())

    @pytest.mark.parametrize("num_tokens", [1, 5])
    @pytest.mark.parametrize("num_unknown", [0, 1, 7])
    def test_there_are_at_most_as_many_guesses_as_wanted(
        self, make_drafter: Callable[[], Drafter], num_unknown: int, num_tokens: int
    ) -> None:
        """All guesses are tokens of the text, or at least of the vocabulary of bytes."""
        drafter = make_drafter()
        for stop in range(1, len(_REPEATED), 3):
            guesses = drafter.propose(list(_REPEATED[:stop]), num_unknown, num_tokens)
            assert len(guesses) <= num_tokens
            assert all(0 <= guess < 256 for guess in guesses), f"guessed {guesses} for bytes"

    def test_a_drafter_leaves_the_text_as_it_is(self, make_drafter: Callable[[], Drafter]) -> None:
        """The list belongs to the engine."""
        token_ids = list(_REPEATED)
        make_drafter().propose(token_ids, 1, 5)
        assert token_ids == list(_REPEATED)

    def test_drafters_of_two_requests_do_not_mix(self, make_drafter: Callable[[], Drafter]) -> None:
        """A drafter does not know what another one has read."""
        first, second, alone = make_drafter(), make_drafter(), make_drafter()
        first.propose(list(_REPEATED), 0, 5)
        text = list(_REPEATED[:6])
        assert list(second.propose(text, 0, 5)) == list(alone.propose(text, 0, 5))

    def test_guesses_are_made_quickly(self, make_drafter: Callable[[], Drafter]) -> None:
        """Guesses are made in the engine's own loop, between two steps, for each row."""
        drafter, text = make_drafter(), list(_REPEATED * 30)
        drafter.propose(text[:2000], 0, 5)  # the prompt is read once
        times_s = []
        for stop in range(2001, 2001 + _NUM_TIMED):
            begun = time.perf_counter()
            drafter.propose(text[:stop], 1, 5)
            times_s.append(time.perf_counter() - begun)
        assert statistics.median(times_s) < _GUESS_S

    @pytest.mark.parametrize("temperature", [0.0, 1.0])
    def test_answers_are_those_without_guesses(self, tmp_path: Path, temperature: float) -> None:
        """In a whole engine, with answers that repeat their prompt and others that do not."""
        write_model(tmp_path)
        with self.open(tmp_path, {}) as llm:
            plain = _answers(llm, temperature)
        self.require(SpeculatorNeed(num_tokens=4))
        with self.open(
            tmp_path, {"speculation.num_tokens": 4, "select.speculator": self.name}
        ) as llm:
            assert _answers(llm, temperature) == plain

    def open(self, folder: Path, settings: dict[str, Any]) -> LLM:
        """An engine of the reference platform."""
        echo = {"options.reference.echo_token_id": ECHO_TOKEN_ID}
        return LLM(
            str(folder), settings={**REFERENCE_SETTINGS, **echo, **settings}, plugins=self.plugins
        )


def _answers(llm: LLM, temperature: float) -> list[list[int]]:
    prompts: Sequence[list[int]] = [
        [ECHO_TOKEN_ID, *_REPEATED],
        list(_REPEATED),
        [1, 2, 3],
    ]
    params = SamplingParams(max_tokens=40, temperature=temperature, ignore_eos=True)
    return [list(output.outputs[0].token_ids) for output in llm.generate(prompts, params)]
