"""Whose turn it is: the books of tenants, by which a policy can share the engine among them."""

from __future__ import annotations

from jackfield.scheduler.request import Request

_FIRST_GUESS = 128.0  # tokens of an answer, while none has ended
_SHARE = 0.05  # of the newest answer in the mean length of answers
_NUM_KEPT = 1024  # tenants, beyond which some are forgotten


class Turns:
    """Start tags of start-time fair queuing: Goyal, Vin and Cheng 1996, section 2, with tokens as the service.

    A request's turn is the number of tokens that its tenant was given or promised before, but never less than the turn
    of the request that was admitted last: who was away saves nothing up. A promise is the prompt and as many tokens as answers
    have in the mean; what the answer really had is settled when it ends.
    """

    def __init__(self) -> None:
        self._now = 0.0  # the largest turn that was admitted
        self._next: dict[str, float] = {}  # turn of a tenant's next request
        self._mean_output = _FIRST_GUESS

    def arrived(self, request: Request) -> None:
        """Give a request its turn."""
        tenant = tenant_of(request.salt)
        request.turn = max(self._now, self._next.get(tenant, 0.0))
        most = float(request.max_tokens - request.num_prompt_tokens)
        request.promised = min(self._mean_output, most)
        prompt = 0 if request.parent is not None else request.num_prompt_tokens
        self._next[tenant] = request.turn + prompt + request.promised
        if len(self._next) > _NUM_KEPT:
            self._forget()

    def admitted(self, request: Request) -> None:
        """A request begins to run, or runs again."""
        self._now = max(self._now, request.turn)

    def ended(self, request: Request) -> None:
        """Settle what was promised."""
        tenant, num_tokens = tenant_of(request.salt), request.num_output_tokens
        self._mean_output += _SHARE * (num_tokens - self._mean_output)
        if tenant in self._next:
            self._next[tenant] += num_tokens - request.promised

    def _forget(self) -> None:
        """Tenants that have had no more than others: for them it is as if they had never come."""
        self._next = {tenant: turn for tenant, turn in self._next.items() if turn > self._now}


def tenant_of(salt: str) -> str:
    """What stands before the first slash of a salt; behind it a tenant may keep prompts of its own apart."""
    return salt.partition("/")[0]
