"""Draws the tokens of the reference device from a state: pure functions, shared by the worker and the oracle.

A state orders the whole vocabulary: the token of rank r is (step * r + start) mod vocabulary, with log probability
-(r + 1) ln 2. Greedy drawing takes rank 0, a temperature takes a rank that seed and position decide; tokens that are
not allowed are skipped. Penalties reorder the ranks, as on a device. They also change the state, so that a worker
which forgets one token of a request with penalties answers differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from jackfield.sampling import SamplingParams
from jackfield.step import TokenLogprobs
from jackfield_testing.history import mix

# From this logit bias on, a token is forced, or forbidden if the bias is negative.
_DECISIVE_BIAS = 50.0
_LN_2 = math.log(2.0)


@dataclass(frozen=True, slots=True)
class Ranking:
    """All tokens of a vocabulary, ordered by one state."""

    start: int
    step: int  # shares no factor with the vocabulary size, so that every token has one rank
    size: int

    @classmethod
    def of(cls, state: int, vocab_size: int) -> Ranking:
        """The order of a state."""
        step = 1 + state // vocab_size % vocab_size
        while math.gcd(step, vocab_size) > 1:
            step += 1
        return cls(state % vocab_size, step, vocab_size)

    def token(self, rank: int) -> int:
        """The token of `rank` (0: most likely)."""
        return (self.step * rank + self.start) % self.size

    def rank(self, token_id: int) -> int:
        """The rank of a token (0: most likely)."""
        return (token_id - self.start) * pow(self.step, -1, self.size) % self.size

    def logprobs(self, token_id: int, num_top: int) -> TokenLogprobs:
        """The log probabilities that a result reports for `token_id` at this position."""
        top = range(min(num_top, self.size))
        rank = self.rank(token_id)
        return TokenLogprobs(
            token_id,
            -(rank + 1) * _LN_2,
            rank + 1,
            tuple(self.token(r) for r in top),
            tuple(-(r + 1) * _LN_2 for r in top),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawContext:
    """Everything beside the state that a drawn token depends on."""

    sampling: SamplingParams
    seed: int
    token_ids: Sequence[int]  # prompt and output so far
    num_prompt_tokens: int
    end_token_ids: Sequence[int]  # forbidden before sampling.min_tokens, as are stop_token_ids
    vocab_size: int
    mask: memoryview | None = None  # a mask of TokenMasks
    # A prompt that begins with this token is answered with its rest.
    echo_token_id: int | None = None

    @property
    def num_output_tokens(self) -> int:
        """Tokens drawn before this one."""
        return len(self.token_ids) - self.num_prompt_tokens

    def allows(self, token_id: int) -> bool:
        """False if a mask, a list, a bad word, a bias or min_tokens forbids the token."""
        if self.mask is not None and not self.mask[token_id // 8] >> token_id % 8 & 1:
            return False
        if self.num_output_tokens < self.sampling.min_tokens and (
            token_id in self.end_token_ids or token_id in self.sampling.stop_token_ids
        ):
            return False
        allowed = self.sampling.allowed_token_ids
        if allowed is not None and token_id not in allowed:
            return False
        if any(map(partial(self._would_end, token_id), self.sampling.bad_words)):
            return False
        return self.sampling.logit_bias.get(token_id, 0.0) > -_DECISIVE_BIAS

    def _would_end(self, token_id: int, word: Sequence[str | int]) -> bool:
        """True if the output would end with this bad word."""
        *before, last = word
        output = self.token_ids[self.num_prompt_tokens :]
        return token_id == last and list(output[len(output) - len(before) :]) == before

    @property
    def has_penalties(self) -> bool:
        """True if tokens that occurred before are worth less."""
        params = self.sampling
        penalties = (params.repetition_penalty, params.presence_penalty, params.frequency_penalty)
        return penalties != (1, 0, 0)

    def held_back(self, token_id: int, value: float) -> float:
        """A logit after penalties: one penalty for prompt and output, two for the output."""
        params = self.sampling
        if params.repetition_penalty != 1 and token_id in self.token_ids:
            value *= params.repetition_penalty if value < 0 else 1 / params.repetition_penalty
        count = self.token_ids[self.num_prompt_tokens :].count(token_id)
        return value - params.presence_penalty * (count > 0) - params.frequency_penalty * count

    def forced(self) -> list[int]:
        """Tokens that come before all others if they are allowed."""
        bias = self.sampling.logit_bias
        if self.has_penalties:
            bias = {token_id: self.held_back(token_id, value) for token_id, value in bias.items()}
        wanted = sorted((t for t in bias if bias[t] >= _DECISIVE_BIAS), key=lambda t: (-bias[t], t))
        if self.echo_token_id is not None and self.token_ids[0] == self.echo_token_id:
            script = self.token_ids[1 : self.num_prompt_tokens]
            if script:
                wanted.append(script[self.num_output_tokens % len(script)])
        return wanted


def draw(state: int, context: DrawContext) -> int | None:
    """The next token, or None if no token is allowed."""
    size = context.vocab_size
    for token_id in context.forced():
        if context.allows(token_id):
            return token_id
    ranking = Ranking.of(_penalised(state, context), size)
    order = _order(ranking, context) if context.has_penalties else None
    first = _first_rank(state, context)
    ranks = ((first + offset) % size for offset in range(size))
    tokens = (order[rank] if order else ranking.token(rank) for rank in ranks)
    return next((token_id for token_id in tokens if context.allows(token_id)), None)


def _penalised(state: int, context: DrawContext) -> int:
    """Another state for each output so far, if there are penalties."""
    if not context.has_penalties:
        return state
    return mix(state, context.num_prompt_tokens, *context.token_ids)


def _order(ranking: Ranking, context: DrawContext) -> Sequence[int]:
    """All tokens, the most likely after penalties first."""
    tokens = [ranking.token(rank) for rank in range(ranking.size)]
    held = {t: context.held_back(t, -(rank + 1) * _LN_2) for rank, t in enumerate(tokens)}
    return sorted(tokens, key=lambda token_id: -held[token_id])


def _first_rank(state: int, context: DrawContext) -> int:
    params = context.sampling
    if params.is_greedy:
        return 0
    num_ranks = min(params.top_k or context.vocab_size, context.vocab_size)
    num_ranks = max(1, int(num_ranks * params.top_p))
    if params.min_p > 0:
        num_ranks = min(num_ranks, 1 + int(-math.log2(params.min_p)))
    return mix(state, context.seed, len(context.token_ids)) % num_ranks
