"""Accounts of tenants, with which a policy can share the engine fairly among them."""

from __future__ import annotations

from jackfield.scheduler.request import Request

_FIRST_GUESS = 128.0  # assumed tokens of an answer until one has ended
_SHARE = 0.05  # weight of the newest answer in the mean length of answers
_NUM_KEPT = 1024  # tenants; if there are more, some are forgotten


class Turns:
    """Start tags of start-time fair queuing: Goyal, Vin and Cheng 1996, section 2, with tokens as the service.

    A request's turn is the number of tokens that its tenant was given or promised before, but never less than the
    turn of the request that was admitted last: an idle tenant saves nothing up. A promise is the prompt plus the mean
    length of answers. It is replaced by the answer's true length when the answer ends.
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
        """Note that a request begins to run, or runs again."""
        self._now = max(self._now, request.turn)

    def ended(self, request: Request) -> None:
        """Replace the promise by the true length."""
        tenant, num_tokens = tenant_of(request.salt), request.num_output_tokens
        self._mean_output += _SHARE * (num_tokens - self._mean_output)
        if tenant in self._next:
            self._next[tenant] += num_tokens - request.promised

    def _forget(self) -> None:
        """Forget tenants that have had no more than others: a new account would be equal."""
        self._next = {tenant: turn for tenant, turn in self._next.items() if turn > self._now}


def tenant_of(salt: str) -> str:
    """The part of a salt before its first slash. Behind the slash a tenant may keep its own prompts apart."""
    return salt.partition("/")[0]
