"""The right answers of the engine on the reference platform, computed from the token history without any cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jackfield.model_spec import ModelSpec
from jackfield.request import FinishReason
from jackfield.sampling import BeamSearch, SamplingParams
from jackfield.scheduler.hypotheses import SearchRules
from jackfield_testing.history import History
from jackfield_testing.sampler import DrawContext, Ranking, draw


@dataclass(frozen=True, slots=True)
class Answer:
    """The tokens of one output, including an end token, and why it ended."""

    token_ids: tuple[int, ...]
    finish_reason: FinishReason


def reference_answer(
    prompt: Sequence[int],
    sampling: SamplingParams,
    spec: ModelSpec,
    *,
    seed: int = 0,
    max_length: int | None = None,
    echo_token_id: int | None = None,
    decode: Callable[[Sequence[int]], str] | None = None,
) -> Answer:
    """The right answer to `prompt`. `seed` matters with a temperature; `decode` is needed for stop strings."""
    max_length = max_length or spec.max_length
    end_token_ids = () if sampling.ignore_eos else spec.end_token_ids
    stop_ids = {*end_token_ids, *sampling.stop_token_ids}
    wanted = max_length if sampling.max_tokens is None else sampling.max_tokens
    stop_length = min(len(prompt) + wanted, max_length)
    token_ids = list(prompt)
    history = History(spec.cache_groups(spec.dtype), token_ids)
    while len(token_ids) < stop_length:
        context = DrawContext(
            sampling=sampling,
            seed=seed,
            token_ids=token_ids,
            num_prompt_tokens=len(prompt),
            end_token_ids=end_token_ids,
            vocab_size=spec.vocab_size,
            echo_token_id=echo_token_id,
        )
        token_id = draw(history.state(), context)
        if token_id is None:
            return Answer(tuple(token_ids[len(prompt) :]), FinishReason.ERROR)
        token_ids.append(token_id)
        history.append(token_id)
        output = token_ids[len(prompt) :]
        may_stop = len(output) >= sampling.min_tokens
        if may_stop and (token_id in stop_ids or _has_stop(output, sampling, decode)):
            return Answer(tuple(output), FinishReason.STOP)
    return Answer(tuple(token_ids[len(prompt) :]), FinishReason.LENGTH)


def reference_search(
    prompt: Sequence[int], sampling: SamplingParams, spec: ModelSpec
) -> list[Answer]:
    """The right answers of a beam search, the best first. Every answer is computed anew at every step."""
    search = sampling.beam_search
    assert isinstance(search, BeamSearch)
    wanted = spec.max_length if sampling.max_tokens is None else sampling.max_tokens
    ends = () if sampling.ignore_eos else spec.end_token_ids
    rules = SearchRules(
        search=search,
        end_token_ids={*ends, *sampling.stop_token_ids},
        min_tokens=sampling.min_tokens,
        max_tokens=min(wanted, spec.max_length - len(prompt)),
        num_logprobs=0,
    )
    groups = spec.cache_groups(spec.dtype)
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    finished: list[tuple[float, Answer]] = []
    for num_new in range(1, rules.max_tokens + 1):
        found = []
        for _, answer in beams:
            state = History(groups, [*prompt, *answer]).state()
            found.append(Ranking.of(state, spec.vocab_size).logprobs(0, rules.num_kept))
        following: list[tuple[float, list[int]]] = []
        continuations = rules.continuations([score for score, _ in beams], found, num_new)
        for place, continuation in enumerate(continuations):
            token_ids = [*beams[continuation.beam][1], continuation.token_id]
            reason = rules.reason(continuation, num_new)
            if reason is None:
                following.append((continuation.score, token_ids))
            elif place < search.width:
                score = rules.final(continuation.score, num_new)
                finished.append((score, Answer(tuple(token_ids), reason)))
        finished = sorted(finished, key=lambda pair: -pair[0])[: search.width]
        beams = following[: search.width]
        scores = [score for score, _ in finished]
        if not beams or rules.is_over(scores, beams[0][0], num_new):
            break
    return [answer for _, answer in finished[: sampling.n]]


def reference_tokens(
    prompt: Sequence[int], sampling: SamplingParams, spec: ModelSpec, *, seed: int = 0
) -> list[int]:
    """The tokens of the right answer to `prompt`."""
    return list(reference_answer(prompt, sampling, spec, seed=seed).token_ids)


def _has_stop(
    output: Sequence[int],
    sampling: SamplingParams,
    decode: Callable[[Sequence[int]], str] | None,
) -> bool:
    if not sampling.stop:
        return False
    if decode is None:
        raise ValueError("reference_answer() needs decode=... where sampling has stop strings")
    num_early = max(0, sampling.min_tokens - 1)  # tokens whose text cannot stop the output
    text = decode(output)[len(decode(output[:num_early])) :]
    return any(stop in text for stop in sampling.stop)
