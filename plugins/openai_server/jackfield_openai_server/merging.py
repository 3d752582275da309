"""Makes whole outputs from deltas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jackfield_openai_server.engine.messages import Delta
from jackfield_openai_server.logprobs import Entry


@dataclass(slots=True)
class Merged:
    """One whole output."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[Entry] = field(default_factory=list)
    finish_reason: str | None = None
    stop_reason: str | int | None = None

    @property
    def mean_logprob(self) -> float:
        """Mean log probability of its tokens, by which best_of sorts."""
        return sum(entry[1] for entry in self.logprobs) / max(len(self.logprobs), 1)


def merged(deltas: Sequence[Delta]) -> Merged:
    """The output that these deltas add up to."""
    found = Merged("".join(delta.text for delta in deltas))
    for delta in deltas:
        found.token_ids += delta.token_ids
        found.logprobs += delta.logprobs or []
    if deltas:
        found.finish_reason, found.stop_reason = deltas[-1].finish_reason, deltas[-1].stop_reason
    return found


def merged_outputs(outputs: Sequence[Sequence[Delta]]) -> list[Merged]:
    """All outputs of a request."""
    return [merged(deltas) for deltas in outputs]
