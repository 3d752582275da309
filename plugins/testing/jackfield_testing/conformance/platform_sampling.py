"""The part of the kit of platforms on drawing tokens: parameters, log probabilities, late masks."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jackfield.interfaces.platform import Platform
from jackfield.interfaces.worker import Worker
from jackfield.sampling import SamplingParams
from jackfield.step import LateInputs, StepPlan, StepResult, TokenMasks
from jackfield_testing.conformance.platform_runs import (
    GREEDY,
    LOGPROB_ERROR,
    PlatformRuns,
    answer,
    entries,
    logprobs,
    next_logprobs,
)
from jackfield_testing.tokenizer import VOCAB_SIZE

_NARROW: Mapping[str, Mapping[str, Any]] = {
    "top_k": {"top_k": 1},
    "top_p": {"top_p": 1e-6},
    "min_p": {"min_p": 1.0},
}
_CERTAIN = 100.0  # a bias or penalty that outweighs every logit of a tiny model


class SamplingTests(PlatformRuns):
    """Each parameter is set so that only one answer is right, whatever the model computes."""

    @pytest.mark.parametrize("name", _NARROW)
    def test_narrowed_to_one_token_drawing_is_greedy(self, tmp_path: Path, name: str) -> None:
        """The temperature does not matter then."""
        hot = SamplingParams(
            max_tokens=12, temperature=5.0, ignore_eos=True, seed=3, **_NARROW[name]
        )
        self.require_sampling(hot)
        with self.open(tmp_path) as llm:
            assert answer(llm, self.prompts, hot) == answer(llm, self.prompts, GREEDY)

    def test_a_large_bias_decides(self, tmp_path: Path) -> None:
        """A positive bias forces its token; a negative one forbids it."""
        wanted = replace(GREEDY, logit_bias={7: _CERTAIN})
        self.require_sampling(wanted)
        with self.open(tmp_path) as llm:
            assert answer(llm, self.prompts, wanted) == [[7] * 12] * len(self.prompts)
            ((first, *_),) = answer(llm, [[1, 2, 3]], GREEDY)
            unwanted = replace(GREEDY, logit_bias={first: -_CERTAIN})
            assert first not in answer(llm, [[1, 2, 3]], unwanted)[0]

    def test_no_token_is_drawn_beside_the_allowed_ones(self, tmp_path: Path) -> None:
        """Other tokens are far more likely; drawn without a temperature and with one."""
        listed = replace(GREEDY, logit_bias={7: _CERTAIN}, allowed_token_ids=(3, 200))
        self.require_sampling(listed)
        with self.open(tmp_path) as llm:
            for temperature in (0.0, 5.0):
                (tokens,) = answer(llm, [[1, 2]], replace(listed, temperature=temperature))
                assert set(tokens) <= {3, 200}

    def test_a_bad_word_loses_its_last_token(self, tmp_path: Path) -> None:
        """It is lost if the output, not the prompt, ends with the word's other tokens. A word of one token is never
        drawn.
        """
        wish: dict[str, Any] = {"max_tokens": 4, "logit_bias": {7: 100.0, 8: 80.0, 9: 60.0}}
        words = replace(GREEDY, bad_words=((7, 7), (7, 8, 7)), **wish)
        self.require_sampling(words)
        with self.open(tmp_path) as llm:
            assert answer(llm, [[1, 7]], words) == [[7, 8, 8, 7]]
            assert answer(llm, [[7]], replace(words, bad_words=((7,), (8, 8)))) == [[8, 9, 8, 9]]

    @pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
    def test_a_large_penalty_turns_to_the_next_best(self, tmp_path: Path, name: str) -> None:
        """Two tokens are far more likely than all others; the second one is drawn after the first."""
        bias: dict[str, Any] = {"logit_bias": {7: 100.0, 8: 80.0}, name: 60.0}
        params = replace(GREEDY, max_tokens=2, **bias)
        self.require_sampling(params)
        with self.open(tmp_path) as llm:
            assert answer(llm, [[7, 8]], params) == [[7, 8]]

    def test_a_repetition_penalty_looks_at_the_prompt_too(self, tmp_path: Path) -> None:
        """No token is drawn twice, and none of the prompt. The prompt is so long that this would otherwise happen."""
        prompt = [*range(3, 103)]
        params = replace(GREEDY, repetition_penalty=_CERTAIN)
        self.require_sampling(params)
        with self.open(tmp_path) as llm:
            (free,) = answer(llm, [prompt], GREEDY)
            (tokens,) = answer(llm, [prompt], params)
        if not _has_repeats(prompt, free):
            self.not_shown("without a penalty nothing is said twice either")
        assert not _has_repeats(prompt, tokens)

    def test_min_tokens_hold_back_the_end(self, tmp_path: Path) -> None:
        """The end token is far more likely than all others."""
        end = 7
        params = SamplingParams(
            max_tokens=8,
            min_tokens=4,
            temperature=0.0,
            ignore_eos=True,
            logit_bias={end: _CERTAIN},
            stop_token_ids=(end,),
        )
        self.require_sampling(params)
        with self.open(tmp_path) as llm:
            (tokens,) = answer(llm, [[1, 2]], params)
        assert (len(tokens), tokens.index(end)) == (5, 4)

    def test_log_probabilities_belong_to_their_tokens(self, tmp_path: Path) -> None:
        """Ids and ranks fit the numbers, and a short list is the beginning of the whole list."""
        drawn = SamplingParams(
            max_tokens=6, temperature=2.0, seed=5, ignore_eos=True, logprobs=VOCAB_SIZE
        )
        self.require_sampling(drawn)
        with self.open(tmp_path) as llm:
            (output,) = llm.generate([[1, 2, 3]], drawn)
            (few,) = llm.generate([[1, 2, 3]], replace(drawn, logprobs=3))
        one = output.outputs[0]
        for token_id, entry in zip(one.token_ids, entries(one), strict=True):
            assert (entry.token_id, logprobs(entry)[token_id]) == (token_id, entry.logprob)
            assert entry.rank == 1 + sum(other > entry.logprob for other in entry.top_logprobs)
        for whole, part in zip(entries(one), entries(few.outputs[0]), strict=True):
            assert (part.top_ids, part.rank) == (whole.top_ids[:3], whole.rank)

    def test_the_best_token_of_log_probabilities_is_the_greedy_one(self, tmp_path: Path) -> None:
        """So the ids of log probabilities are those of the tokens."""
        with self.open(tmp_path) as llm:
            (output,) = llm.generate([[1, 2, 3]], replace(GREEDY, logprobs=1))
        one = output.outputs[0]
        assert [entry.top_ids[0] for entry in entries(one)] == list(one.token_ids)

    def test_log_probabilities_of_a_prompt_are_those_of_its_beginnings(
        self, tmp_path: Path
    ) -> None:
        """Each is that of a token after all tokens before it."""
        prompt = [3, 1, 4, 1, 5, 9, 2, 6]
        params = SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True, prompt_logprobs=0)
        self.require_sampling(replace(params, logprobs=VOCAB_SIZE))
        with self.open(tmp_path, {"cache.prefix_caching": False}) as llm:
            (output,) = llm.generate([prompt], params)
            found = [entry for entry in output.prompt_logprobs or () if entry is not None]
            assert [entry.token_id for entry in found] == prompt[1:]
            for place, entry in enumerate(found, 1):
                right = next_logprobs(llm, prompt[:place])[prompt[place]]
                assert abs(entry.logprob - right) <= LOGPROB_ERROR, f"position {place}"

    @pytest.mark.parametrize("token_id", [3, 200])
    def test_late_masks_are_obeyed(
        self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token_id: int
    ) -> None:
        """The worker is driven as by an executor: a mask that allows one token arrives after the step began."""
        mask = bytearray((VOCAB_SIZE + 31) // 32 * 4)
        mask[token_id // 8] |= 1 << token_id % 8

        def make_late(worker: Worker) -> None:
            submit = worker.submit

            def submit_late(plan: StepPlan) -> Future[StepResult]:
                future = submit(replace(plan, awaits_late=True))
                masks = TokenMasks(range(len(plan.rows)), mask * len(plan.rows))
                worker.sample(plan.step_id, LateInputs(masks=masks))
                return future

            worker.submit = submit_late  # type: ignore[method-assign]

        changed = self.change_workers(monkeypatch, type(card), make_late)
        with self.open(tmp_path) as llm:
            self.require_reached(changed)
            assert answer(llm, [[1, 2, 3]], GREEDY) == [[token_id] * GREEDY.max_tokens]  # type: ignore[operator]


def _has_repeats(prompt: list[int], tokens: list[int]) -> bool:
    return len({*prompt, *tokens}) < len(prompt) + len(tokens)
