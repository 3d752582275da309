"""The code that streams of all formats share: characters go in, content and calls come out."""

from __future__ import annotations

from abc import abstractmethod

from jackfield.interfaces.tool_parser import ToolCallDelta, ToolDelta, ToolStream
from jackfield_chat_parsers.json_call import JsonCall


class CharacterStream(ToolStream):
    """Reads a text one character at a time, so that the result is the same however the text is cut."""

    def __init__(self) -> None:
        self.num_calls = 0
        self._content: list[str] = []
        self._calls: list[ToolCallDelta] = []

    @abstractmethod
    def read(self, character: str) -> None:
        """Read the next character."""

    @abstractmethod
    def end(self) -> None:
        """End the output."""

    def push(self, text: str) -> ToolDelta:
        """Read the next piece."""
        for character in text:
            self.read(character)
        return self._taken()

    def finish(self) -> ToolDelta:
        """Give out the rest."""
        self.end()
        return self._taken()

    def say(self, text: str) -> None:
        """Give out text that is no call."""
        if text:
            self._content.append(text)

    def begin_call(self, name: str) -> None:
        """Begin a call whose name is known."""
        self._calls.append(ToolCallDelta(self.num_calls, name))
        self.num_calls += 1

    def add_arguments(self, text: str) -> None:
        """Add text to the arguments of the last call."""
        if not text:
            return
        last = self._calls[-1] if self._calls else None
        # One delta for each call and piece.
        if last is not None and last.index == self.num_calls - 1:
            self._calls[-1] = ToolCallDelta(last.index, last.name, last.arguments + text)
        else:
            self._calls.append(ToolCallDelta(self.num_calls - 1, None, text))

    def _taken(self) -> ToolDelta:
        content, calls = "".join(self._content), tuple(self._calls)
        self._content.clear()
        self._calls.clear()
        return ToolDelta(content, calls)


class JsonCallReader:
    """One call as a JSON object in a stream. Its text is kept while it may turn out to be no call."""

    def __init__(self, stream: CharacterStream) -> None:
        self.text = ""  # text as it was written
        self.has_begun = False  # True: its name was given out, so it stays a call
        self._call = JsonCall()
        self._stream = stream

    @property
    def is_done(self) -> bool:
        """True if the object is complete, or is no call."""
        return self._call.is_done or self._call.is_broken

    @property
    def is_broken(self) -> bool:
        """True if this is no call and nothing of it was given out."""
        return self._call.is_broken and not self.has_begun

    def read(self, character: str) -> None:
        """Read the next character."""
        call = self._call
        self.text += character
        call.push(character)
        if call.name is not None and not call.is_broken:
            if not self.has_begun:
                self.has_begun = True
                self._stream.begin_call(call.name)
            self._stream.add_arguments(call.take_arguments())
