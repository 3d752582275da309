"""What comes back with a step beside token ids: whether it fits the plan, and log probabilities."""

from __future__ import annotations

from jackfield.errors import WorkerError
from jackfield.scheduler.plan_builder import StepInFlight
from jackfield.step import StepPlan, StepResult


def check_result(step: StepInFlight, plan: StepPlan, result: StepResult) -> None:
    """Raise WorkerError where a result is not that of the oldest step in flight, or has not one token a sample."""
    expected = step.plan.step_id
    if plan.step_id != expected or result.step_id != expected:
        raise WorkerError(
            f"the worker returned step {result.step_id} for plan {plan.step_id}; the oldest step in flight is "
            f"{expected}. Results must resolve in the order of submission"
        )
    num_samples = step.plan.samples.count(True)
    has_drafts = result.counts is not None and any(count != 1 for count in result.counts)
    if len(result.token_ids) != num_samples or has_drafts:
        raise WorkerError(
            f"step {expected} asked for one token of each of {num_samples} rows; the worker returned "
            f"{len(result.token_ids)} tokens with counts {result.counts}"
        )


def keep_logprobs(step: StepInFlight, result: StepResult) -> None:
    """Hand log probabilities to the requests that asked for them and have not ended."""
    for position, logprobs in result.logprobs.items():
        request = step.requests[position]
        if request.logprobs is not None and not request.is_finished:
            request.logprobs += logprobs
    for position, logprobs in result.prompt_logprobs.items():
        request = step.requests[position]
        if request.prompt_logprobs is not None and not request.is_finished:
            # A prompt that was complete before a preemption is not collected again.
            missing = request.num_prompt_tokens - len(request.prompt_logprobs)
            request.prompt_logprobs += logprobs[:missing]
