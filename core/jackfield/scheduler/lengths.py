"""The latest end of a request, whether it can run at all, and how its prompt is cut."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.errors import RequestError
from jackfield.kv_cache import cut_at_stop
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.request import Request


def set_lengths(
    request: Request, max_length: int, longest_cached: int, longest_prompt: int | None = None
) -> None:
    """Set the latest end of `request`. Raises RequestError if it can never run.

    `max_length`: most tokens of one request, prompt and output together. `longest_cached`: most tokens of one request
    that the cache can hold. `longest_prompt`: tokens of a step, if prompts are not cut.
    """
    num_prompt, wanted = request.num_prompt_tokens, request.sampling.max_tokens
    name = f"request {request.request_id!r}"
    longest = max_length - (request.pooling is None)
    if not 0 < num_prompt <= longest:
        follows = "" if request.pooling is not None else ", so that one token can follow"
        raise RequestError(
            f"{name} has a prompt of {num_prompt} tokens; allowed are 1 to {longest}{follows} within "
            f"model.max_length={max_length}. Change the prompt, or raise model.max_length if the model allows it"
        )
    if longest_prompt is not None and num_prompt > longest_prompt:
        raise RequestError(
            f"{name} has a prompt of {num_prompt} tokens, and this model computes a prompt in one step, which has at most "
            f"{longest_prompt}. Raise scheduler.max_step_tokens to {num_prompt}, or shorten the prompt"
        )
    if request.pooling is not None:
        _set_prompt_only(request, longest_cached, name)
        return
    room = max_length - num_prompt
    max_tokens = num_prompt + (room if wanted is None else min(wanted, room))
    last_computed = max_tokens - 1  # the last token is drawn, never computed
    if last_computed > longest_cached:
        fits = longest_cached + 1 - num_prompt
        remedy = f"ask for at most {fits} new tokens" if fits > 0 else "shorten the prompt"
        raise RequestError(
            f"{name} needs cache for {last_computed} tokens (prompt {num_prompt}, up to "
            f"{max_tokens - num_prompt} new); the whole cache holds {longest_cached}. To go on, {remedy}, "
            "or raise cache.memory_bytes or cache.num_blocks"
        )
    request.max_tokens = max_tokens
    request.check_at = max_tokens - 1
    request.last_computed = last_computed


def _set_prompt_only(request: Request, longest_cached: int, name: str) -> None:
    """Set the lengths of a request that draws no token."""
    num_prompt = request.num_prompt_tokens
    if num_prompt > longest_cached:
        raise RequestError(
            f"{name} needs cache for {num_prompt} tokens; the whole cache holds {longest_cached}. To go on, shorten the "
            "prompt, or raise cache.memory_bytes or cache.num_blocks"
        )
    request.max_tokens = request.check_at = num_prompt + 1  # never reached
    request.last_computed = num_prompt


class PromptChunks:
    """Decides how many tokens of a prompt a step computes."""

    def __init__(self, max_chunk: int, longest_prompt: int | None) -> None:
        self.max_chunk = max_chunk
        # For a model that sees all tokens of a prompt at once. None: prompts may be cut.
        self._longest_prompt = longest_prompt

    def may_begin(self, plan: PlanBuilder, request: Request) -> bool:
        """True if prompts may be cut, or if this prompt fits into the rest of the step."""
        return self._longest_prompt is None or len(request.token_ids) <= plan.budget

    def next(self, plan: PlanBuilder, request: Request, start: int, stops: Sequence[int]) -> int:
        """Number of prompt tokens, from `start` on, that a step computes."""
        missing = len(request.token_ids) - start
        if self._longest_prompt is not None:
            return missing
        return cut_at_stop(stops, start, min(missing, plan.budget, self.max_chunk))
