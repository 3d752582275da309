"""The work of `jackfield chat`: reads lines, keeps the conversation, streams the answers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol

from jackfield.checkpoint.tokenizer_settings import TOKENIZER_CONFIG, TokenizerSettings
from jackfield.cli.conversation import Conversation
from jackfield.cli.generation import why_it_ended
from jackfield.cli.line_input import LineInput
from jackfield.cli.remote import RemoteModel
from jackfield.cli.sampling import given_fields
from jackfield.cli.settings import load_from_arguments
from jackfield.client import LLM
from jackfield.config.schema import EngineConfig
from jackfield.errors import ConfigError, RequestError
from jackfield.sampling import SamplingParams
from jackfield.startup.sources import tokenizer_description

GREETING = "Type a message; /help lists what else there is, /exit or Ctrl-D ends it."
HELP = """\
/clear        forget the conversation
/system TEXT  another system message; without TEXT none
/save FILE    write the conversation as JSON
/exit         end, as Ctrl-D does
//TEXT        a message that starts with a slash
Ctrl-C ends an answer, not the program."""
_SHARE = 4  # one fourth of the context stays free for an answer


def run_chat(arguments: argparse.Namespace) -> int:
    """Talk until the user ends it. Returns 1 if lines of a pipe had no answer."""
    params = SamplingParams(**{"max_tokens": None, **given_fields(arguments)})
    if arguments.url is not None:
        remote = RemoteModel(arguments.url, arguments.model, given_fields(arguments))
        return _talk(remote, arguments)
    loaded = load_from_arguments(arguments)
    _check_description(loaded.config)
    with LLM.from_config(loaded) as llm:
        _check_template(llm)
        return _talk(_LocalModel(llm, params), arguments)


class Speaker(Protocol):
    """Answers a conversation."""

    notes: list[str]  # how the last answer ended

    def answer(self, conversation: Conversation) -> Generator[str, None, None]:
        """Pieces of the answer. Closing the generator withdraws the request. Raises RequestError."""


def _talk(model: Speaker, arguments: argparse.Namespace) -> int:
    _tell(GREETING)
    lines = LineInput()
    try:
        return _Chat(model, Conversation(arguments.system), lines).run()
    finally:
        lines.close()


class _LocalModel:
    """An open model in this process."""

    def __init__(self, llm: Any, params: SamplingParams) -> None:
        self._llm = llm
        self._params = params
        length = llm.config.model.max_length
        wanted = length if params.max_tokens is None else params.max_tokens
        self._room = max(1, length - min(wanted, length // _SHARE))  # most tokens of a prompt
        self.notes: list[str] = []

    def answer(self, conversation: Conversation) -> Generator[str, None, None]:
        """As Speaker.answer. If the context is full, the oldest messages are left out."""
        self.notes = []
        prompt, num_left_out = conversation.fit(self._llm.chat_prompt, self._room)
        if num_left_out:
            _tell(
                f"[the context is full: the oldest {num_left_out} messages are left out from here on]"
            )
        stream = self._llm.stream(prompt, self._params)
        try:
            for output in stream:
                completion = output.outputs[0]
                if completion.error is not None:
                    raise RequestError(completion.error)
                yield completion.delta
                if completion.finish_reason is not None:
                    self.notes = list(why_it_ended(completion))
        finally:
            stream.close()


class _Chat:
    """One conversation with an open model."""

    def __init__(self, model: Speaker, conversation: Conversation, lines: LineInput) -> None:
        self._model = model
        self._conversation = conversation
        self._lines = lines
        self._num_failed = 0

    def run(self) -> int:
        """Read line after line. If one is wrong, report that and read the next."""
        while True:
            try:
                line = self._lines.read()
                if line is None or line in ("/exit", "/quit"):
                    break
                self._take(line)
            except (ConfigError, RequestError) as error:
                self._num_failed += 1
                _tell(f"jackfield: {error}")
            except KeyboardInterrupt:
                if not self._lines.is_terminal:
                    raise
                _tell("\n(/exit or Ctrl-D ends the program)")
        return 1 if self._num_failed and not self._lines.is_terminal else 0

    def _take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if not line.startswith("/") or line.startswith("//"):
            if line:
                self._answer(line.removeprefix("/") if line.startswith("//") else line)
        elif word == "/help":
            _tell(HELP)
        elif word == "/clear":
            self._conversation.clear()
        elif word == "/system":
            self._conversation.set_system(rest.strip())
        elif word == "/save":
            self._save(rest.strip())
        else:
            raise ConfigError(f"there is no {word}; /help lists what there is")

    def _answer(self, text: str) -> None:
        conversation, answer = self._conversation, ""
        conversation.ask(text)
        pieces = self._model.answer(conversation)
        try:
            for piece in pieces:
                answer += piece
                print(piece, end="", flush=True)
            print()
            for note in self._model.notes:
                _tell(note)
        except KeyboardInterrupt:
            if not self._lines.is_terminal:
                raise
            print(flush=True)
            _tell("[interrupted]")
        finally:
            pieces.close()
            conversation.answer(answer)

    def _save(self, name: str) -> None:
        if not name:
            raise ConfigError("/save needs the name of a file")
        try:
            self._conversation.save(Path(name).expanduser())
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"cannot write {name}: {error}") from None
        _tell(f"saved {name}")


def _check_description(config: EngineConfig) -> None:
    """Raise ConfigError before weights are fetched if the model cannot hold a conversation."""
    files = tokenizer_description(config)
    if files is None or not files.find(TOKENIZER_CONFIG):
        return
    if not TokenizerSettings(files).template_sources():
        raise _cannot_chat(f"{files.reference} has no chat template")


def _check_template(llm: Any) -> None:
    """Raise ConfigError before the user types if the model cannot hold a conversation."""
    try:
        llm.chat_prompt([{"role": "user", "content": "Hello"}])
    except RequestError as error:
        raise _cannot_chat(str(error)) from None


def _cannot_chat(why: str) -> ConfigError:
    return ConfigError(
        f"this model cannot chat: {why}. `jackfield generate` continues texts with any model"
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
