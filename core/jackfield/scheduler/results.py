"""Checks that a result fits its plan, and hands out what comes with it beside token ids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

from jackfield.errors import WorkerError
from jackfield.scheduler.plan_builder import StepInFlight
from jackfield.scheduler.request import Request
from jackfield.step import StepPlan, StepResult


def check_result(step: StepInFlight, plan: StepPlan, result: StepResult) -> None:
    """Raise WorkerError if a result is not that of the oldest step in flight, or has too few or too many tokens."""
    expected = step.plan.step_id
    if plan.step_id != expected or result.step_id != expected:
        raise WorkerError(
            f"the worker returned step {result.step_id} for plan {plan.step_id}; the oldest step in flight is "
            f"{expected}. Results must resolve in the order of submission"
        )
    pools = step.plan.pools
    if (pools or result.vectors) and {*result.vectors} != {*pools} - {*result.errors}:
        raise WorkerError(
            f"step {expected} asked for the vectors of the rows at {list(pools)}; the worker returned those at "
            f"{sorted(result.vectors)}"
        )
    num_samples = step.plan.samples.count(True)
    counts = result.counts
    if counts is None:
        fits = len(result.token_ids) == num_samples
    else:
        fits = len(counts) == num_samples and sum(counts) == len(result.token_ids)
        fits = fits and _are_allowed(step.plan, counts)
    if not fits:
        drafts = (
            f", or more where a row had one of {len(step.drafts)} drafts" if step.drafts else ""
        )
        raise WorkerError(
            f"step {expected} asked for one token of each of {num_samples} rows{drafts}; the worker returned "
            f"{len(result.token_ids)} tokens with counts {counts}"
        )


def _are_allowed(plan: StepPlan, counts: Sequence[int]) -> bool:
    """True if each row drew at least one token, and at most one more than its draft has."""
    allowed = compress(plan.num_tokens, plan.samples) if plan.drafts else [1] * len(counts)
    drafted = {draft.place for draft in plan.drafts}
    places = compress(range(len(plan.rows)), plan.samples)
    return all(
        1 <= count <= (most if place in drafted else 1)
        for place, most, count in zip(places, allowed, counts, strict=True)
    )


def keep_vectors(step: StepInFlight, result: StepResult) -> list[Request]:
    """Give vectors to the requests that have not ended. Returns these requests."""
    open_requests = []
    for position, vector in result.vectors.items():
        request = step.requests[position]
        if not request.is_finished:
            request.vector = vector
            open_requests.append(request)
    return open_requests


def keep_logprobs(step: StepInFlight, result: StepResult) -> None:
    """Give log probabilities to the requests that asked for them and have not ended."""
    for position, logprobs in result.logprobs.items():
        request = step.requests[position]
        if request.logprobs is not None and not request.is_finished:
            request.logprobs += logprobs
    for position, logprobs in result.prompt_logprobs.items():
        request = step.requests[position]
        if request.prompt_logprobs is not None and not request.is_finished:
            # If the prompt was complete before a preemption, its log probabilities are not collected again.
            missing = request.num_prompt_tokens - len(request.prompt_logprobs)
            request.prompt_logprobs += logprobs[:missing]
