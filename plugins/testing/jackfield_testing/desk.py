"""Runs an engine, its text and its answers on one thread, so that a test sees each step."""

from __future__ import annotations

from jackfield.engine.answer import Answer
from jackfield.engine.deltas import Delta, OpenRequest
from jackfield.engine.engine import Engine
from jackfield.request import EngineRequest, RequestOutput


class Desk:
    """Does one after the other what clients do on several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._maker = engine.text_maker(engine.finish)
        self._answers: dict[OpenRequest, Answer] = {}

    def add(self, request: EngineRequest, *, stream: bool = False) -> str:
        """Take a request in. Returns its id."""
        opened = self.engine.add_request(request, stream=stream)
        self._answers[opened] = Answer(opened)
        return request.request_id

    def step(self) -> list[RequestOutput]:
        """Run one step of the engine. Returns its outputs."""
        return self._outputs(self.engine.step())

    def run(self) -> list[RequestOutput]:
        """Run until no request is open and no step in flight. Returns all outputs."""
        outputs = []
        while self.engine.has_unfinished or self.engine.num_in_flight:
            outputs += self.step()
        return outputs

    def abort(self, request_id: str) -> RequestOutput | None:
        """Withdraw a request. Returns its last output, or None if it is not open."""
        outputs = self._outputs(self.engine.abort(request_id))
        return outputs[-1] if outputs else None

    def _outputs(self, deltas: list[Delta]) -> list[RequestOutput]:
        outputs = []
        for delta in self._maker.make(deltas):
            output = self._answers[delta.request].add(delta)
            if output is not None:
                outputs.append(output)
                if output.finished:
                    del self._answers[delta.request]
        return outputs
