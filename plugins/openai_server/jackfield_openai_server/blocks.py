"""An answer as a sequence of blocks (thought, text and calls), as in Anthropic's messages and OpenAI's responses."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from jackfield_openai_server.chat_prompt import ChatPrompt
from jackfield_openai_server.generation import Generation
from jackfield_openai_server.parsers import Parsed
from jackfield_openai_server.tool_calls import call_id

THOUGHT, TEXT, CALL = "thought", "text", "call"


@dataclass(slots=True)
class Block:
    """One part of an answer."""

    index: int  # index among all blocks
    kind: str
    text: str = ""  # for a call its arguments, as JSON
    name: str = ""  # name of the tool, for a call
    id: str = ""  # id of the call

    @property
    def arguments(self) -> Any:
        """The arguments of a call as an object. If they are no JSON, they stay text."""
        try:
            return json.loads(self.text or "{}")
        except ValueError:
            return {"arguments": self.text}


@dataclass(slots=True)
class Change:
    """A change of a block."""

    what: Literal["begin", "add", "end"]
    block: Block
    text: str = ""  # added text


class BlockAnswer:
    """One output of a request, cut into blocks while it arrives."""

    def __init__(self, prompt: ChatPrompt, generation: Generation) -> None:
        self.blocks: list[Block] = []
        self.finish_reason: str | None = None
        self.stop_reason: str | int | None = None
        self.generation = generation
        self._parser = prompt.parser()
        self._is_open = False  # True: the last block is open

    @property
    def has_calls(self) -> bool:
        """True if the model calls a tool."""
        return self._parser.has_calls

    async def changes(self) -> AsyncGenerator[list[Change], None]:
        """Changes of the blocks, as many at once as there are."""
        async with aclosing(self.generation.deltas()) as batches:
            async for deltas in batches:
                changes: list[Change] = []
                for delta in deltas:
                    is_last = delta.finish_reason is not None
                    changes += self._take(self._parser.push(delta.text, is_last=is_last))
                    if is_last:
                        self.finish_reason, self.stop_reason = (
                            delta.finish_reason,
                            delta.stop_reason,
                        )
                        changes += self._end()
                yield changes

    async def whole(self) -> None:
        """Wait for the end. Then `blocks` hold the answer."""
        async with aclosing(self.changes()) as batches:
            async for _ in batches:
                pass

    def _take(self, parsed: Parsed) -> list[Change]:
        changes: list[Change] = []
        for kind, text in ((THOUGHT, parsed.reasoning), (TEXT, parsed.content)):
            if text:
                if not self._is_open or self.blocks[-1].kind != kind:
                    changes += self._begin(Block(len(self.blocks), kind))
                changes.append(self._add(text))
        for call in parsed.calls:
            if call.name is not None:
                changes += self._begin(Block(len(self.blocks), CALL, name=call.name, id=call_id()))
            if call.arguments:
                changes.append(self._add(call.arguments))
        return changes

    def _begin(self, block: Block) -> list[Change]:
        changes = self._end()
        self.blocks.append(block)
        self._is_open = True
        return [*changes, Change("begin", block)]

    def _add(self, text: str) -> Change:
        self.blocks[-1].text += text
        return Change("add", self.blocks[-1], text)

    def _end(self) -> list[Change]:
        was_open, self._is_open = self._is_open, False
        return [Change("end", self.blocks[-1])] if was_open else []
