"""The kit of structured output: masks agree with the tokens that a grammar accepts, and whole answers fit it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jackfield.client import LLM
from jackfield.config import EngineConfig
from jackfield.discovery.kinds import STRUCTURED_OUTPUT
from jackfield.grammar import Grammar
from jackfield.interfaces.structured_output import (
    StructuredOutput,
    StructuredOutputNeed,
    Vocabulary,
)
from jackfield.sampling import SamplingParams, Structured
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model
from jackfield_testing.tokenizer import END_TOKEN_ID, VOCAB_SIZE, ByteTokenizer

_NUM_WALKS = 20  # random answers for each grammar
_LONGEST = 200  # most tokens of an answer in the vocabulary of bytes


class StructuredOutputKit(CardKit):
    """A third party's test file names the entry point, and gives `samples` whose answers end."""

    kind = STRUCTURED_OUTPUT
    # A request's value, and a function that tells whether a text is an answer to it.
    samples: ClassVar[tuple[tuple[Mapping[str, Any], Callable[[str], bool]], ...]] = ()

    @pytest.fixture
    def needs(self, card: StructuredOutput) -> tuple[StructuredOutputNeed, ...]:
        """The forms of the card, and one that does not exist."""
        forms = (*sorted(card.forms), "nobodys_form")
        return tuple(StructuredOutputNeed(form=form) for form in forms)

    @pytest.fixture
    def grammars(
        self, card: StructuredOutput
    ) -> list[tuple[Grammar, Callable[[str], bool], Mapping[str, Any]]]:
        """The samples, compiled for a vocabulary of bytes."""
        if not self.samples:
            self.not_shown("the kit was given no samples")
        vocabulary = Vocabulary(
            tokenizer=ByteTokenizer(), size=VOCAB_SIZE, end_token_ids=(END_TOKEN_ID,)
        )
        compiler = card.create(vocabulary, EngineConfig())
        return [
            (compiler.compile(Structured.of(given)), fits, given) for given, fits in self.samples
        ]

    def test_whatever_masks_allow_is_an_answer(self, grammars: list[Any]) -> None:
        """Random walks through each grammar use only masks."""
        for grammar, fits, given in grammars:
            for seed in range(_NUM_WALKS):
                tokens = list(_walk(grammar, seed))
                text = ByteTokenizer().decode([t for t in tokens if t != END_TOKEN_ID])
                assert fits(text), f"{given}: masks led to {text!r}"

    def test_what_masks_do_not_allow_is_refused(self, grammars: list[Any]) -> None:
        """A refused token changes nothing."""
        for grammar, _, given in grammars:
            state = grammar.start()
            while not state.is_finished:
                allowed = _allowed(state)
                refused = [t for t in range(VOCAB_SIZE) if t not in allowed and not state.accept(t)]
                assert len(refused) == VOCAB_SIZE - len(allowed), f"{given}: took a masked token"
                assert _allowed(state) == allowed, f"{given}: a refused token changed the state"
                assert state.accept(min(allowed)), f"{given}: refused a token that its mask allows"

    def test_a_state_goes_back_as_far_as_it_came(self, grammars: list[Any]) -> None:
        """Drafts need this: their tokens are accepted and taken back."""
        for grammar, _, given in grammars:
            state = grammar.start()
            seen = []
            tokens = list(_walk(grammar, 0))
            for token in tokens:
                seen.append(_allowed(state))
                assert state.accept(token)
            for number in range(1, len(tokens) + 1):
                state.rollback(1)
                assert _allowed(state) == seen[-number], f"{given}: rollback led elsewhere"

    def test_states_of_one_grammar_do_not_mix(self, grammars: list[Any]) -> None:
        """A grammar serves many outputs at once."""
        for grammar, _, _ in grammars:
            first, second = grammar.start(), grammar.start()
            at_start = _allowed(second)
            assert first.accept(min(at_start))
            assert _allowed(second) == at_start

    @pytest.mark.parametrize("depth", [1, 3])
    def test_a_whole_engine_answers_so(self, tmp_path: Path, depth: int) -> None:
        """The request runs beside one without a grammar, greedy and drawn, with several steps in flight."""
        if not self.samples:
            self.not_shown("the kit was given no samples")
        write_model(tmp_path)
        settings = {**REFERENCE_SETTINGS, "executor.depth": depth}
        forms = {next(iter(given)) for given, _ in self.samples}
        for form in forms:
            self.require(StructuredOutputNeed(form=form))
        if self.name:
            rules = [{"match": {"form": form}, "use": self.name} for form in sorted(forms)]
            settings["select.structured_output"] = rules
        with LLM(str(tmp_path), settings=settings, plugins=self.plugins) as llm:
            for given, fits in self.samples:
                params = [
                    SamplingParams(
                        structured=given, temperature=temperature, max_tokens=_LONGEST, seed=1
                    )
                    for temperature in (0.0, 1.0)
                ]
                free = SamplingParams(max_tokens=8, ignore_eos=True)
                first, second, other = llm.generate(["a", "b", "c"], [*params, free])
                assert len(other.outputs[0].token_ids) == 8
                for output in (first.outputs[0], second.outputs[0]):
                    assert output.error is None
                    assert fits(output.text), f"{given}: the answer is {output.text!r}"


def _allowed(state: Any) -> list[int]:
    mask = bytearray(-(-VOCAB_SIZE // 32) * 4)
    state.fill(memoryview(mask))
    return [t for t in range(VOCAB_SIZE) if mask[t // 8] >> t % 8 & 1]


def _walk(grammar: Grammar, seed: int) -> Iterator[int]:
    """Tokens of one answer, drawn from those that masks allow."""
    draw, state = random.Random(seed), grammar.start()
    for _ in range(_LONGEST):
        if state.is_finished:
            return
        allowed = _allowed(state)
        assert allowed, "a mask allows nothing although the grammar is not finished"
        token = draw.choice(allowed)
        assert state.accept(token), f"token {token} was allowed, and then refused"
        yield token
    raise AssertionError(f"an answer is longer than {_LONGEST} tokens; give samples that end")
