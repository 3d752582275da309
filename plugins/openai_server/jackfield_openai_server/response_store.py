"""Stores responses, so that later requests can continue them. Their number is limited; the oldest is dropped first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.protocol.responses import ResponseObject


@dataclass(frozen=True, slots=True)
class Kept:
    """A response, with the conversation up to it."""

    response: ResponseObject
    messages: list[dict[str, Any]]
    tenant: str  # only this tenant may read it


class ResponseStore:
    """Responses in memory. They are lost if the server is restarted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def keep(self, kept: Kept) -> None:
        """Store a response."""
        if self._limit:
            self._kept[kept.response.id] = kept
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)

    def find(self, response_id: str, tenant: str) -> Kept:
        """A response of this tenant. Raises ApiError 404."""
        kept = self._kept.get(response_id)
        if kept is None or kept.tenant != tenant:
            raise ApiError(
                404,
                f"there is no response {response_id!r}; the last {self._limit} are kept "
                "(options.serve.max_stored_responses)",
                code="response_not_found",
            )
        return kept

    def drop(self, response_id: str, tenant: str) -> None:
        """Delete a response. Raises ApiError 404."""
        self.find(response_id, tenant)
        del self._kept[response_id]
