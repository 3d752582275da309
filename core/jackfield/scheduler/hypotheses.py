"""Beam search as a rule on numbers: which answers end, which are followed, and when the search is over.

The rule is that of Transformers' `GenerationMixin._beam_search` for one prompt (Vaswani et al. 2017, with the length
penalty of Wu et al. 2016 as an exponent of the length).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from heapq import nlargest
from operator import attrgetter

from jackfield.request import FinishReason
from jackfield.sampling import BeamSearch
from jackfield.step import TokenLogprobs


@dataclass(frozen=True, slots=True)
class Continuation:
    """One more token behind a followed answer."""

    score: float  # sum of all log probabilities
    beam: int  # index of the answer that the token continues
    token_id: int
    logprobs: TokenLogprobs  # at this token, in the form that requests report


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An answer that has ended."""

    score: float  # with the length penalty
    token_ids: list[int]
    logprobs: list[TokenLogprobs]
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRules:
    """What a request asks of one search."""

    search: BeamSearch
    end_token_ids: Set[int]
    min_tokens: int  # fewer new tokens than this cannot end an answer
    max_tokens: int  # most new tokens
    num_logprobs: int  # number of most likely tokens that the user wants with each token

    @property
    def num_kept(self) -> int:
        """Number of continuations of a step: so many that `width` are left if all others end."""
        return max(2, 1 + len(self.end_token_ids)) * self.search.width

    def continuations(
        self, scores: Sequence[float], found: Sequence[TokenLogprobs], num_new: int
    ) -> list[Continuation]:
        """The best continuations of all answers, the best first. With them each answer has `num_new` new tokens."""
        every = (
            continuation
            for beam, (score, entry) in enumerate(zip(scores, found, strict=True))
            for continuation in self._of_one(beam, score, entry, num_new)
        )
        return nlargest(self.num_kept, every, key=attrgetter("score"))

    def _of_one(
        self, beam: int, score: float, entry: TokenLogprobs, num_new: int
    ) -> Iterator[Continuation]:
        ids, logprobs, shown = entry.top_ids, entry.top_logprobs, self.num_logprobs
        for rank, (token_id, logprob) in enumerate(zip(ids, logprobs, strict=True), 1):
            if num_new < self.min_tokens and token_id in self.end_token_ids:
                continue
            own = TokenLogprobs(token_id, logprob, rank, ids[:shown], logprobs[:shown])
            yield Continuation(score + logprob, beam, token_id, own)

    def reason(self, continuation: Continuation, num_new: int) -> FinishReason | None:
        """Why an answer ends with this token; None if the answer goes on."""
        if continuation.token_id in self.end_token_ids:
            return FinishReason.STOP
        return FinishReason.LENGTH if num_new == self.max_tokens else None

    def final(self, score: float, num_new: int) -> float:
        """The final score of an answer of this length."""
        return float(score / num_new**self.search.length_penalty)

    def is_over(self, finished: Sequence[float], best: float, num_new: int) -> bool:
        """True if answers of `num_new` tokens need not be followed any further.

        `finished`: final scores of the best answers that have ended. `best`: the sum of the best answer that has not.
        """
        search = self.search
        if len(finished) < search.width:
            return False
        if search.early_stopping is True:
            return True
        is_patient = search.early_stopping == "never" and search.length_penalty > 0
        longest = self.max_tokens if is_patient else num_new
        return self.final(best, longest) <= min(finished)


def best_of(finished: Sequence[Hypothesis], width: int) -> list[Hypothesis]:
    """The best hypotheses, the best first; among equals the earlier one."""
    return sorted(finished, key=attrgetter("score"), reverse=True)[:width]
